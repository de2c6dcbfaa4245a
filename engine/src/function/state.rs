//! `nc_state` and `nc_merge`: statistics as an aggregate, for each group of rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, LargeBinaryArray, LargeBinaryBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::columns::{FeatureColumn, LabelColumn, is_features, is_labels, num_classes};
use super::group::{Group, Options, Samples};
use super::{ROWS_ABSORBED, failed};

/// What is aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Rows of features with their label sets.
    OfSamples,
    /// States.
    OfStates,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::OfSamples => "nc_state",
            Self::OfStates => "nc_merge",
        }
    }
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    kind: Kind,
    signature: Signature,
}

impl State {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for State {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::LargeBinary)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match self.kind {
            Kind::OfStates => match types {
                [
                    DataType::LargeBinary
                    | DataType::Binary
                    | DataType::BinaryView
                    | DataType::Null,
                ] => Ok(vec![DataType::LargeBinary]),
                _ => plan_err!("nc_merge takes one column of statistics (binary), found {types:?}"),
            },
            Kind::OfSamples => match types {
                [features, labels, classes] | [features, labels, classes, _]
                    if is_features(features) && is_labels(labels) && classes.is_integer() =>
                {
                    let mut wanted = vec![features.clone(), labels.clone(), DataType::Int64];
                    wanted.extend(types.get(3).map(|_| DataType::Utf8));
                    Ok(wanted)
                }
                _ => {
                    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
                    plan_err!(
                        "nc_state takes lists of numbers (features), lists of integers (labels), the \
                         number of classes and perhaps options, found {}; label_ids(labels, classes) \
                         makes integers of names, label_ids_of(a, b, …) of columns of 0 and 1",
                        types.join(", ")
                    )
                }
            },
        }
    }

    fn accumulator(&self, _arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One {
            groups: Groups::new(self.kind),
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(arguments.name, "statistics");
        Ok(vec![Arc::new(Field::new(
            name,
            DataType::LargeBinary,
            true,
        ))])
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        !arguments.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        _arguments: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(self.kind)))
    }
}

/// The states of all groups.
#[derive(Debug)]
struct Groups {
    kind: Kind,
    options: Options,
    groups: Vec<Group>,
    /// Rows seen so far, for messages.
    seen: u64,
}

impl Groups {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            options: Options::DEFAULT,
            groups: Vec::new(),
            seen: 0,
        }
    }

    fn make_room(&mut self, num_groups: usize) {
        if self.groups.len() < num_groups {
            self.groups.resize_with(num_groups, Group::default);
        }
    }

    /// Absorbs rows of features. `group_of` is `None` where all rows belong to the first group.
    fn absorb(
        &mut self,
        values: &[ArrayRef],
        group_of: Option<&[usize]>,
        keep: Option<&BooleanArray>,
    ) -> std::result::Result<(), String> {
        let Some(num_classes) = num_classes(&values[2])? else {
            return Ok(()); // no row
        };
        if let Some(options) = values.get(3) {
            let options = options.as_string::<i32>();
            self.options = Options::parse(if options.is_null(0) {
                ""
            } else {
                options.value(0)
            })?;
        }
        let first = self.seen;
        let num_rows = values[0].len();
        self.seen += num_rows as u64;
        let kept = |row: usize| keep.is_none_or(|keep| keep.is_valid(row) && keep.value(row));
        let (features, labels) = match keep {
            None => (values[0].clone(), values[1].clone()),
            // Rows that are filtered out may be null or of another length.
            Some(keep) => {
                let only = |column: &ArrayRef| {
                    datafusion::arrow::compute::filter(column, keep).map_err(|e| e.to_string())
                };
                (only(&values[0])?, only(&values[1])?)
            }
        };
        let features = FeatureColumn::new(&features, first)?;
        let labels = LabelColumn::new(&labels, first)?;
        let samples = Samples {
            numbers: features.numbers()?,
            dim: features.dim,
            num_classes,
            first,
            options: self.options,
            num_groups: self.groups.len(),
        };
        let mut set = |row: usize| labels.set(row, num_classes, first);
        if features.num_rows == 0 {
            return Ok(());
        }
        match group_of {
            None => {
                self.make_room(1);
                let sets = (0..features.num_rows)
                    .map(&mut set)
                    .collect::<Result<Vec<_>, _>>()?;
                self.groups[0].push_all(&samples, sets)?;
            }
            Some(group_of) => {
                let of_kept = (0..num_rows)
                    .filter(|&row| kept(row))
                    .map(|row| group_of[row]);
                for (row, group) in of_kept.enumerate() {
                    self.groups[group].push(&samples, row, set(row)?)?;
                }
            }
        }
        ROWS_ABSORBED.fetch_add(features.num_rows as u64, Ordering::Relaxed);
        Ok(())
    }

    fn merge(
        &mut self,
        states: &ArrayRef,
        group_of: impl Fn(usize) -> usize,
        keep: Option<&BooleanArray>,
    ) -> std::result::Result<(), String> {
        let states: &LargeBinaryArray = states.as_binary::<i64>();
        for row in 0..states.len() {
            let kept = keep.is_none_or(|keep| keep.is_valid(row) && keep.value(row));
            if kept && states.is_valid(row) {
                self.groups[group_of(row)].merge(states.value(row))?;
            }
        }
        Ok(())
    }

    fn emit(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = emit_to.take_needed(&mut self.groups);
        let mut states = LargeBinaryBuilder::new();
        for group in groups {
            let bytes = group
                .into_bytes(self.options)
                .map_err(|e| failed(self.kind.name(), e))?;
            states.append_option(bytes);
        }
        Ok(Arc::new(states.finish()))
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.make_room(total_num_groups);
        match self.kind {
            Kind::OfSamples => self.absorb(values, Some(group_indices), opt_filter),
            Kind::OfStates => self.merge(&values[0], |row| group_indices[row], opt_filter),
        }
        .map_err(|error| failed(self.kind.name(), error))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.emit(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.make_room(total_num_groups);
        self.merge(&values[0], |row| group_indices[row], None)
            .map_err(|error| failed(self.kind.name(), error))
    }

    /// One state for each row: correct, and so large that sessions of this crate never ask for it.
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let num_rows = values[0].len();
        let mut rows = Self::new(self.kind);
        let each: Vec<usize> = (0..num_rows).collect();
        rows.update_batch(values, &each, opt_filter, num_rows)?;
        rows.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + self
                .groups
                .iter()
                .map(Group::allocated_bytes)
                .sum::<usize>()
    }
}

/// The state of all rows together.
#[derive(Debug)]
struct One {
    groups: Groups,
}

impl One {
    fn take(&mut self) -> Result<ScalarValue> {
        self.groups.make_room(1);
        let state = self.groups.emit(EmitTo::All)?;
        ScalarValue::try_from_array(&state, 0)
    }

    fn failed(&self, error: String) -> datafusion::error::DataFusionError {
        failed(self.groups.kind.name(), error)
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.groups.make_room(1);
        match self.groups.kind {
            Kind::OfSamples => self.groups.absorb(values, None, None),
            Kind::OfStates => self.groups.merge(&values[0], |_| 0, None),
        }
        .map_err(|error| self.failed(error))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.take()
    }

    fn size(&self) -> usize {
        self.groups.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.take()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.groups.make_room(1);
        self.groups
            .merge(&states[0], |_| 0, None)
            .map_err(|error| self.failed(error))
    }
}
