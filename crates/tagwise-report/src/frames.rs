//! The pictures of a run's epochs, kept in its folder so that they can be shown one after the other.
//!
//! `frames.jsonl` has a line for an epoch: the plane of three classes with some samples of each label
//! set, and the maps of cosines with a byte for each cell. A run of many epochs keeps every second,
//! third, … of them, so that the file stays small.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tagwise::Error;
use tagwise::form::{Form, Stated};

use crate::heat_map::IDEAL;
use crate::sprite::as_base64;
use crate::{EpochPictures, Geometry, HeatMap, Result, Scatter};

/// The file in a run's folder.
pub const FRAMES: &str = "frames.jsonl";

/// Epochs of a run that are kept at most, about.
const MOST_FRAMES: usize = 250;
/// Samples of a label set that are kept.
const MOST_POINTS: usize = 60;
/// A line longer than this is no frame.
const LONGEST_LINE: u64 = 1 << 24;
/// Bytes from 0 to 254 stand for −1 to 1.
const STEPS: f64 = 127.0;
const MISSING: u8 = 255;

/// One epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Epochs done; 0 for the initial network.
    pub epoch: usize,
    /// The plane of three classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plane: Option<Scatter>,
    /// Cosines of class means and classifier.
    #[serde(default)]
    maps: Vec<Cells>,
    /// What is predicted for the end; with the initial network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prediction: Option<Cells>,
}

/// A map of cosines with a byte for each cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cells {
    title: String,
    #[serde(default)]
    ideal: Option<f64>,
    #[serde(with = "as_base64")]
    cells: Vec<u8>,
}

/// Whether the epoch of a run of so many is kept: the first, the last, and evenly spread ones.
///
/// ```
/// use tagwise_report::frames::is_kept;
///
/// assert!((0..=20).all(|epoch| is_kept(epoch, 20)));
/// let kept = (0..=1000).filter(|&epoch| is_kept(epoch, 1000)).count();
/// assert!(kept <= 251 && is_kept(0, 1000) && is_kept(1000, 1000));
/// ```
pub fn is_kept(epoch: usize, epochs: usize) -> bool {
    epoch == epochs || epoch.is_multiple_of(epochs.div_ceil(MOST_FRAMES).max(1))
}

impl Frame {
    /// What is kept of an epoch's pictures.
    pub fn of(pictures: &EpochPictures) -> Self {
        let maps = pictures.geometry.iter().flat_map(|geometry| &geometry.maps);
        // What every epoch is compared with does not change.
        let is_measured = |map: &&HeatMap| map.title != IDEAL;
        let maps = maps.filter(is_measured);
        Self {
            epoch: pictures.epoch,
            plane: pictures.plane.as_ref().map(thinned),
            maps: maps.map(Cells::of).collect(),
            prediction: pictures.prediction.as_ref().map(Cells::of),
        }
    }

    /// The same epoch beside what the first frame of its run predicts.
    pub fn beside_prediction(self, first: &Self) -> Self {
        Self {
            prediction: first.prediction.clone(),
            ..self
        }
    }

    /// The maps with the names of the classes; `None` where there are none, or others.
    pub fn geometry(&self, class_names: &[String]) -> Option<Geometry> {
        let maps: Option<Vec<HeatMap>> = self
            .maps
            .iter()
            .chain(&self.prediction)
            .map(|cells| cells.map(class_names))
            .collect();
        let maps = maps.filter(|maps| !maps.is_empty())?;
        Some(Geometry {
            maps,
            ..Geometry::default()
        })
    }

    /// Appends the frame to a run's folder.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn append(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FRAMES);
        let mut line = serde_json::to_vec(&Form::Frame.versioned(self))?;
        line.push(b'\n');
        let file = OpenOptions::new().create(true).append(true).open(&path);
        // In one call, so that a reader sees the line or nothing.
        let written = file.and_then(|mut file| file.write_all(&line));
        Ok(written.map_err(|source| Error::Io { path, source })?)
    }
}

/// The frames of a run's folder, of each epoch the last; lines that are not whole are passed over, as
/// one that is being written.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, and for a version that this program does not know. A
/// folder without the file has no frames.
pub fn read(folder: &Path, mut wanted: impl FnMut(usize) -> bool) -> Result<Vec<Frame>> {
    /// The epoch of a line alone, which is read first.
    #[derive(Deserialize)]
    struct Epoch {
        epoch: usize,
        #[serde(flatten)]
        stated: Stated,
    }
    let path = folder.join(FRAMES);
    let with_path = |source| Error::Io {
        path: path.clone(),
        source,
    };
    let file = match std::fs::File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(with_path)?,
    };
    let mut reader = BufReader::new(file);
    let mut frames: Vec<Frame> = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let limited = &mut (&mut reader).take(LONGEST_LINE);
        if limited.read_until(b'\n', &mut line).map_err(with_path)? == 0 {
            return Ok(frames);
        }
        let Ok(Epoch { epoch, stated }) = serde_json::from_slice(&line) else {
            continue;
        };
        Form::Frame.check(stated.version)?;
        // What an interrupted run has left of later epochs is made again.
        frames.retain(|frame| frame.epoch < epoch);
        if wanted(epoch)
            && let Ok(frame) = serde_json::from_slice::<Frame>(&line)
        {
            frames.push(frame);
        }
    }
}

impl Cells {
    fn of(map: &HeatMap) -> Self {
        let byte = |value: &Option<f64>| match value {
            Some(value) => ((value.clamp(-1.0, 1.0) + 1.0) * STEPS).round() as u8,
            None => MISSING,
        };
        Self {
            title: map.title.clone(),
            ideal: map.ideal,
            cells: map.values.iter().flatten().map(byte).collect(),
        }
    }

    fn map(&self, class_names: &[String]) -> Option<HeatMap> {
        let side = class_names.len();
        if self.cells.len() != side * side {
            return None;
        }
        let value = |i: usize, j: usize| match self.cells[i * side + j] {
            MISSING => f64::NAN,
            byte => f64::from(byte) / STEPS - 1.0,
        };
        let mut map = HeatMap::from_fn(self.title.clone(), class_names.to_vec(), value);
        map.ideal = self.ideal;
        Some(map)
    }
}

/// Fewer samples, and coordinates with four digits.
fn thinned(plane: &Scatter) -> Scatter {
    let mut plane = plane.clone();
    for cloud in &mut plane.clouds {
        let count = cloud.points.len();
        let kept = count.min(MOST_POINTS);
        cloud.points = (0..kept)
            .map(|at| cloud.points[at * count / kept].map(rounded))
            .collect();
    }
    for arm in &mut plane.arms {
        arm.tip = arm.tip.map(rounded);
    }
    for average in &mut plane.averages {
        average.at = average.at.map(rounded);
    }
    plane
}

/// To four significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arm, Cloud};

    fn pictures(epoch: usize) -> EpochPictures {
        let names: Vec<String> = ["a", "b", "<b>"].map(String::from).into();
        EpochPictures {
            epoch,
            geometry: Some(Geometry {
                maps: vec![
                    HeatMap::ideal_simplex_etf(names.clone()),
                    HeatMap {
                        title: "Classifier rows".into(),
                        ..HeatMap::ideal_simplex_etf(names)
                    },
                ],
                caption: String::new(),
            }),
            plane: Some(Scatter {
                arms: vec![Arm {
                    name: "a".into(),
                    tip: [1.0 / 3.0, 0.0],
                }],
                clouds: vec![Cloud {
                    name: "a".into(),
                    classes: vec![0],
                    points: (0..500).map(|i| [f64::from(i), 1.0]).collect(),
                }],
                ..Scatter::default()
            }),
            prediction: (epoch == 0).then(|| HeatMap {
                title: "Optimum".into(),
                ..HeatMap::ideal_simplex_etf(["a", "b", "<b>"].map(String::from).into())
            }),
            ..EpochPictures::default()
        }
    }

    #[test]
    fn frames_come_back_nearly_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), |_| true).unwrap(), []);
        for epoch in 0..3 {
            Frame::of(&pictures(epoch)).append(folder.path()).unwrap();
        }
        let frames = read(folder.path(), |_| true).unwrap();
        assert_eq!(frames.len(), 3);
        let names: Vec<String> = ["a", "b", "<b>"].map(String::from).into();
        let maps = &frames[2].geometry(&names).unwrap().maps;
        let map = &maps[0];
        assert_eq!((maps.len(), &*map.title), (1, "Classifier rows"));
        assert_eq!(map.labels, names);
        assert!((map.values[0][1].unwrap() + 0.5).abs() < 0.5 / STEPS);
        let plane = frames[0].plane.as_ref().unwrap();
        assert_eq!(plane.arms[0].tip, [0.3333, 0.0]);
        assert_eq!(plane.clouds[0].points.len(), MOST_POINTS);
        assert!(frames[0].geometry(&names[..2]).is_none());
        let beside = frames[2].clone().beside_prediction(&frames[0]);
        let titles = beside.geometry(&names).unwrap().maps;
        assert_eq!(titles.last().unwrap().title, "Optimum");
        assert_eq!(read(folder.path(), |epoch| epoch == 1).unwrap().len(), 1);
    }

    #[test]
    fn what_was_made_again_replaces_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        for epoch in [0, 1, 2, 3, 2] {
            Frame::of(&pictures(epoch)).append(folder.path()).unwrap();
        }
        let path = folder.path().join(FRAMES);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"version\":1,\"epoch\":3,\"pla").unwrap();
        let epochs: Vec<usize> = read(folder.path(), |_| true)
            .unwrap()
            .iter()
            .map(|frame| frame.epoch)
            .collect();
        assert_eq!(epochs, [0, 1, 2]);
        std::fs::write(&path, "{\"version\":2,\"epoch\":0}\n").unwrap();
        assert!(read(folder.path(), |_| true).is_err());
    }
}
