use super::*;

/// The gradient tolerance is 1e-10 and the smallest curvature below is 1e-2.
const NEAR: f64 = 1e-7;

struct Quartic {
    x: Vec<f64>,
}

/// Σ (xᵢ² − 1)²/4 + 0.1·xᵢ: two minima per variable and a saddle near 0.
impl Curvature for Quartic {
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.x.copy_from_slice(x);
        let mut value = 0.0;
        for (x, g) in x.iter().zip(gradient) {
            let excess = x * x - 1.0;
            *g = excess * x + 0.1;
            value += 0.25 * excess * excess + 0.1 * x;
        }
        value
    }

    fn hessian_times(&mut self, vector: &[f64], product: &mut [f64]) {
        for ((x, v), p) in self.x.iter().zip(vector).zip(product) {
            *p = (3.0 * x * x - 1.0) * v;
        }
    }

    fn diagonal(&mut self, diagonal: &mut [f64]) {
        diagonal.fill(1.0);
    }
}

#[test]
fn negative_curvature_leads_to_a_minimum() {
    let mut objective = Quartic { x: vec![0.0; 3] };
    let mut x = vec![0.05, -0.02, 0.0];
    let minimum =
        TrustRegion::default().minimize(&mut x, &mut objective, |_| ControlFlow::Continue(()));
    assert_eq!(minimum.stop, Stop::Converged);
    for x in x {
        assert!((x * x * x - x + 0.1).abs() < NEAR);
        assert!(3.0 * x * x - 1.0 > 0.0, "{x} is not a minimum");
    }
}

#[test]
fn bounds_hold_variables_at_zero() {
    let mut objective = Quartic { x: vec![0.0; 3] };
    let mut x = vec![0.05, -0.5, 0.9];
    let bounded = TrustRegion {
        non_negative: 0..3,
        ..TrustRegion::default()
    };
    let minimum = bounded.minimize(&mut x, &mut objective, |_| ControlFlow::Continue(()));
    assert_eq!(minimum.stop, Stop::Converged, "{minimum:?} {x:?}");
    for x in &x {
        let is_interior = (x * x * x - x + 0.1).abs() < NEAR && 3.0 * x * x > 1.0;
        assert!(*x == 0.0 || is_interior, "{x}");
    }
    assert_eq!(x[1], 0.0);
    assert!(x[2] > 0.9);
}

struct Rosenbrock {
    x: Vec<f64>,
}

impl Curvature for Rosenbrock {
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.x.copy_from_slice(x);
        gradient.fill(0.0);
        let mut value = 0.0;
        for i in 0..x.len() - 1 {
            let (a, b) = (1.0 - x[i], x[i + 1] - x[i] * x[i]);
            gradient[i] += -2.0 * a - 400.0 * x[i] * b;
            gradient[i + 1] += 200.0 * b;
            value += a * a + 100.0 * b * b;
        }
        value
    }

    fn hessian_times(&mut self, vector: &[f64], product: &mut [f64]) {
        product.fill(0.0);
        for i in 0..vector.len() - 1 {
            let x = self.x[i];
            let diagonal = 2.0 + 1200.0 * x * x - 400.0 * self.x[i + 1];
            product[i] += diagonal * vector[i] - 400.0 * x * vector[i + 1];
            product[i + 1] += 200.0 * vector[i + 1] - 400.0 * x * vector[i];
        }
    }

    fn diagonal(&mut self, diagonal: &mut [f64]) {
        diagonal.fill(200.0);
    }
}

#[test]
fn rosenbrocks_valley_is_followed_to_its_end() {
    let mut objective = Rosenbrock { x: vec![0.0; 20] };
    let mut x = vec![-1.2; 20];
    let minimum =
        TrustRegion::default().minimize(&mut x, &mut objective, |_| ControlFlow::Continue(()));
    assert_eq!(minimum.stop, Stop::Converged);
    let error = x.iter().map(|x| (x - 1.0).abs()).fold(0.0, f64::max);
    // Rosenbrock's function in 20 dimensions has a second minimum near (−1, 1, …, 1).
    assert!(error < NEAR || minimum.value > 3.9, "{x:?}");
}

#[test]
fn a_run_ends_when_progress_says_so() {
    let mut objective = Rosenbrock { x: vec![0.0; 2] };
    let mut x = vec![-1.2, 1.0];
    let minimum =
        TrustRegion::default().minimize(&mut x, &mut objective, |_| ControlFlow::Break(()));
    assert_eq!(minimum.iterations, 1);
    assert_eq!(minimum.stop, Stop::Interrupted);
}
