//! What stands in for the reader of Parquet in a program built without it.

use std::path::{Path, PathBuf};

use super::WITHOUT_PARQUET;
use super::member::Member;
use crate::features::FeatureRows;
use crate::label::LabelLists;
use crate::tensors::Element;
use crate::{Error, Result, Targets};

/// A column of a table, of which there is none.
#[derive(Clone, Debug)]
pub(super) enum TableColumn {}

impl TableColumn {
    pub(super) fn name(&self) -> &str {
        match *self {}
    }

    pub(super) fn element(&self) -> Element {
        match *self {}
    }

    pub(super) fn shape(&self) -> [usize; 2] {
        match *self {}
    }

    pub(super) fn for_each_block(
        &self,
        _: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()> {
        match *self {}
    }

    pub(super) fn check_rows(&self) -> Result<()> {
        match *self {}
    }

    pub(super) fn class_targets(&self, _: Option<usize>) -> Result<Targets> {
        match *self {}
    }

    pub(super) fn multi_hot_targets(&self) -> Result<Targets> {
        match *self {}
    }
}

/// A column of text, of which there is none either.
#[derive(Clone, Debug)]
pub(super) enum TextColumn {}

impl TextColumn {
    pub(super) fn name(&self) -> &str {
        match *self {}
    }

    pub(super) fn labels(&self) -> Result<LabelLists> {
        match *self {}
    }
}

pub(super) fn members(paths: &[PathBuf]) -> Result<Vec<Member>> {
    Err(absent(
        paths.first().map_or(Path::new(""), PathBuf::as_path),
    ))
}

pub(super) fn files_like(pattern: &Path) -> Result<Vec<PathBuf>> {
    Err(absent(pattern))
}

fn absent(path: &Path) -> Error {
    Error::Format {
        path: path.to_path_buf(),
        message: format!("{WITHOUT_PARQUET}, or save the columns as safetensors or .npz"),
    }
}
