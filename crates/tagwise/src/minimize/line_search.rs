//! A line search for the strong Wolfe conditions, fed with one sample after the other.

/// Wolfe's constants: sufficient decrease, and the part of the initial slope that may remain.
const DECREASE: f64 = 1e-4;
const SLOPE: f64 = 0.9;
/// Samples of one line search.
const MAX_TRIALS: usize = 40;

/// The objective along the search direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) step: f64,
    pub(crate) value: f64,
    pub(crate) slope: f64,
}

/// What follows from a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is the end of the search.
    Accept,
    /// The objective is wanted at this step.
    Try(f64),
    /// No step lowers the objective.
    Fail,
}

/// The search along one direction: it says where the objective is wanted next, so that many
/// searches can go on side by side.
///
/// Source: Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineSearch {
    start: Sample,
    low: Sample,
    high: Option<Sample>,
    /// Changes of the value that are rounding.
    rounding: f64,
    trials: usize,
    /// Whether the next sample is the end of the search, whatever it is.
    is_settled: bool,
}

impl LineSearch {
    /// A search from a point with this value and slope; changes below `rounding` of the value mean
    /// nothing.
    pub(crate) fn new(value: f64, slope: f64, rounding: f64) -> Self {
        let start = Sample {
            step: 0.0,
            value,
            slope,
        };
        Self {
            start,
            low: start,
            high: None,
            rounding: rounding * value.abs(),
            trials: 0,
            is_settled: false,
        }
    }

    /// Takes the objective at the first step, or where it was wanted.
    pub(crate) fn judge(&mut self, s: Sample) -> Verdict {
        if self.is_settled {
            return Verdict::Accept;
        }
        let is_finite = s.value.is_finite() && s.slope.is_finite();
        let decreases =
            s.value <= self.start.value + DECREASE * s.step * self.start.slope + self.rounding;
        let is_flat = s.slope.abs() <= -SLOPE * self.start.slope;
        if is_finite && decreases && is_flat {
            return Verdict::Accept;
        }
        if !is_finite || !decreases || s.value > self.low.value + self.rounding {
            self.high = Some(s);
        } else {
            // The minimiser lies behind s when the slope points away from the far end.
            let is_past = match self.high {
                None => s.slope >= 0.0,
                Some(high) => s.slope * (high.step - self.low.step) >= 0.0,
            };
            if is_past {
                self.high = Some(self.low);
            }
            self.low = s;
        }
        self.trials += 1;
        let low = self.low;
        let is_narrow = |high: Sample| (high.step - low.step).abs() <= 1e-16 * low.step.abs();
        if self.trials == MAX_TRIALS || self.high.is_some_and(is_narrow) {
            return self.settle();
        }
        Verdict::Try(match self.high {
            None => 2.0 * low.step.max(s.step),
            Some(high) => between(&low, &high),
        })
    }

    /// A decrease without the slope condition is still progress.
    fn settle(&mut self) -> Verdict {
        self.is_settled = true;
        if self.low.step > 0.0 && self.low.value < self.start.value {
            Verdict::Try(self.low.step)
        } else {
            Verdict::Fail
        }
    }
}

/// The minimiser of the cubic through two samples, kept inside the middle 80 % of the interval.
fn between(low: &Sample, high: &Sample) -> f64 {
    let width = high.step - low.step;
    let bisection = low.step + 0.5 * width;
    if !high.value.is_finite() || !high.slope.is_finite() {
        return low.step + 0.1 * width;
    }
    let secant = (high.value - low.value) / width;
    let d1 = low.slope + high.slope - 3.0 * secant;
    let discriminant = d1 * d1 - low.slope * high.slope;
    if discriminant < 0.0 {
        return bisection;
    }
    let d2 = discriminant.sqrt().copysign(width);
    let cubic = high.step - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2.0 * d2);
    let (left, right) = (low.step + 0.1 * width, low.step + 0.9 * width);
    let (left, right) = (left.min(right), left.max(right));
    if cubic.is_finite() {
        cubic.clamp(left, right)
    } else {
        bisection
    }
}
