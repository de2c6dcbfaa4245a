//! Events as messages: the fields of TensorBoard's `event.proto` and `summary.proto`.

use tagwise::wire::Message;

use crate::Picture;

/// What a summary says about one tag.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, which the format keeps in f32.
    Scalar(f64),
    /// How numbers are distributed.
    Histogram(Histogram),
    /// A picture.
    Image(Picture),
}

/// Numbers counted in buckets of equal width.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    low: f64,
    high: f64,
    sum: f64,
    sum_of_squares: f64,
    /// The upper end of each bucket.
    limits: Vec<f64>,
    counts: Vec<f64>,
}

/// Buckets of a histogram; TensorBoard itself shows 30.
const BUCKETS: usize = 60;

impl Histogram {
    /// Counts these numbers; those that are not finite are left out.
    ///
    /// ```
    /// use tagwise_report::tensorboard::Histogram;
    ///
    /// let one = Histogram::of(&[2.0, 2.0, f64::NAN]);
    /// assert_eq!(one.num_values(), 2.0);
    /// ```
    pub fn of(values: &[f64]) -> Self {
        let values = || values.iter().copied().filter(|value| value.is_finite());
        let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
            (low.min(x), high.max(x))
        });
        if low > high {
            return Self::default();
        }
        let num_buckets = if low == high { 1 } else { BUCKETS };
        let width = (high - low) / num_buckets as f64;
        let mut counts = vec![0.0; num_buckets];
        for value in values() {
            let bucket = match width > 0.0 {
                true => (((value - low) / width) as usize).min(num_buckets - 1),
                false => 0,
            };
            counts[bucket] += 1.0;
        }
        Self {
            low,
            high,
            sum: values().sum(),
            sum_of_squares: values().map(|value| value * value).sum(),
            // The last is the largest number itself, not what rounding makes of it.
            limits: (1..num_buckets)
                .map(|bucket| low + bucket as f64 * width)
                .chain([high])
                .collect(),
            counts,
        }
    }

    /// How many numbers were counted.
    pub fn num_values(&self) -> f64 {
        self.counts.iter().sum()
    }

    fn message(&self) -> Message {
        let mut message = Message::default();
        message.double(1, self.low);
        message.double(2, self.high);
        message.double(3, self.num_values());
        message.double(4, self.sum);
        message.double(5, self.sum_of_squares);
        message.doubles(6, &self.limits);
        message.doubles(7, &self.counts);
        message
    }
}

/// The first event of a file.
pub(super) fn version(wall_time: f64) -> Message {
    let mut event = Message::default();
    event.double(1, wall_time);
    event.text(3, "brain.Event:2");
    event
}

/// From here on a process writes: readers forget events of this step and later ones.
pub(super) fn session_start(wall_time: f64, step: i64) -> Message {
    const START: i64 = 1;
    let mut log = Message::default();
    log.int(1, START);
    let mut event = at(wall_time, step);
    event.message(7, &log);
    event
}

/// Values of one moment.
pub(super) fn summary(
    wall_time: f64,
    step: i64,
    values: impl IntoIterator<Item = (String, Value)>,
) -> Message {
    let mut summary = Message::default();
    for (tag, value) in values {
        let mut entry = Message::default();
        entry.text(1, &tag);
        match value {
            Value::Scalar(number) => entry.float(2, number as f32),
            Value::Image(picture) => entry.message(4, &image(&picture)),
            Value::Histogram(histogram) => entry.message(5, &histogram.message()),
        }
        summary.message(1, &entry);
    }
    let mut event = at(wall_time, step);
    event.message(5, &summary);
    event
}

fn at(wall_time: f64, step: i64) -> Message {
    let mut event = Message::default();
    event.double(1, wall_time);
    event.int(2, step);
    event
}

fn image(picture: &Picture) -> Message {
    const RGB: i64 = 3;
    let mut image = Message::default();
    image.int(1, picture.height as i64);
    image.int(2, picture.width as i64);
    image.int(3, RGB);
    image.bytes(4, &picture.png);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_a_bucket() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i).sqrt()).collect();
        let histogram = Histogram::of(&values);
        assert_eq!(histogram.num_values(), 1000.0);
        assert_eq!(histogram.limits.len(), BUCKETS);
        assert!(histogram.limits.is_sorted());
        let below = |limit: f64| values.iter().filter(|&&value| value < limit).count() as f64;
        let mut so_far = 0.0;
        for (limit, count) in histogram
            .limits
            .iter()
            .zip(&histogram.counts)
            .take(BUCKETS - 1)
        {
            so_far += count;
            assert_eq!(so_far, below(*limit));
        }
    }

    #[test]
    fn one_number_and_none_are_histograms() {
        assert_eq!(Histogram::of(&[]), Histogram::default());
        let one = Histogram::of(&[-3.0; 4]);
        assert_eq!((one.limits, one.counts), (vec![-3.0], vec![4.0]));
        assert_eq!(Histogram::of(&[f64::INFINITY]).num_values(), 0.0);
    }
}
