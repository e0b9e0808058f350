//! What samples say: Welch's t for two means, an upper bound for a count of lucky guesses.

/// Welch's t of two samples: how many standard errors their means lie apart.
pub fn welch_t(one: &[f64], other: &[f64]) -> f64 {
    let ((mean_1, var_1), (mean_2, var_2)) = (moments(one), moments(other));
    (mean_1 - mean_2) / (var_1 / one.len() as f64 + var_2 / other.len() as f64).sqrt()
}

fn moments(sample: &[f64]) -> (f64, f64) {
    let n = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / n;
    let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, variance)
}

/// The largest number of successes that `trials` guesses, each right with probability `chance`, stay within with a
/// probability of at least `confidence`.
pub fn binomial_bound(trials: u32, chance: f64, confidence: f64) -> u32 {
    let mut term = (1.0 - chance).powi(trials.cast_signed());
    let mut below = term;
    let mut k = 0;
    while below < confidence && k < trials {
        term *= f64::from(trials - k) / f64::from(k + 1) * chance / (1.0 - chance);
        below += term;
        k += 1;
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::RngCore as _;

    #[test]
    fn the_bound_of_fair_coins_is_known() {
        // P(X <= 60) of 100 fair coins is 0.9824, P(X <= 61) is 0.9895, P(X <= 62) is 0.994.
        assert_eq!(binomial_bound(100, 0.5, 0.99), 62);
        assert_eq!(binomial_bound(40, 1.0 / 39.0, 0.999), 5);
    }

    #[test]
    fn equal_samples_are_close_and_shifted_ones_are_not() {
        let mut rng = crate::seeded(1);
        let mut noise = || f64::from(rng.next_u32() % 10_000) / 10_000.0;
        let one: Vec<f64> = (0..5000).map(|_| noise()).collect();
        let other: Vec<f64> = (0..5000).map(|_| noise()).collect();
        let shifted: Vec<f64> = other.iter().map(|x| x + 0.04).collect();
        assert!(welch_t(&one, &other).abs() < 4.5);
        assert!(welch_t(&one, &shifted).abs() > 4.5);
    }
}
