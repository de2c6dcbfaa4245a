//! The arrays of one-nearest-neighbour decoding.

use faer::Mat;

use super::{FormKind, Header, MadeOf, check, check_increasing, finite_list, malformed};
use crate::Result;
use crate::decode::parts::{OwnPrototype, Parts, checked_scales, row_major};
use crate::decode::record::Space;
use crate::decode::search::{Form, Offset};
use crate::tensors::{TensorWriter, Tensors};

pub(super) fn push(writer: &mut TensorWriter<'_>, parts: &Parts) -> Result<MadeOf> {
    let num_labels = parts.labels.len();
    writer.add_owned("labels", &[num_labels], parts.labels.iter().copied())?;
    writer.add_owned(
        "directions",
        &[parts.directions.nrows(), parts.directions.ncols()],
        row_major(parts.directions.as_ref()),
    )?;
    let gram = parts.gram.iter().copied();
    writer.add_owned("gram", &[num_labels, num_labels], gram)?;
    let (form, bonuses) = match &parts.form {
        Form::Cosine { bonuses } => (FormKind::Cosine, bonuses),
        Form::Quadratic {
            scales,
            bonuses,
            offset,
        } => {
            writer.add_owned("scales", &[scales.len()], scales.iter().copied())?;
            let kind = match offset {
                Offset::SquaredNorm => FormKind::SquaredDistance,
                Offset::None => FormKind::Linear,
            };
            (kind, bonuses)
        }
    };
    writer.add_owned("bonuses", &[bonuses.len()], bonuses.iter().copied())?;
    push_own(writer, &parts.own)?;
    Ok(MadeOf::Nearest {
        max_multiplicity: parts.max_multiplicity,
        form,
        concentration: parts.concentration,
        empty_set_below: Some(parts.empty_set_below).filter(|score| score.is_finite()),
        max_nodes: parts.max_nodes,
    })
}

fn push_own(writer: &mut TensorWriter<'_>, own: &[OwnPrototype]) -> Result<()> {
    let ends = own.iter().scan(0, |end, own| {
        *end += own.classes.len() as u32;
        Some(*end)
    });
    let starts: Vec<u32> = [0].into_iter().chain(ends).collect();
    writer.add_owned("own.starts", &[starts.len()], starts)?;
    let classes: Vec<u32> = own.iter().flat_map(|own| own.classes.to_vec()).collect();
    writer.add_owned("own.classes", &[classes.len()], classes)?;
    let norms = own.iter().map(|own| own.squared_norm);
    writer.add_owned("own.squared_norms", &[own.len()], norms)?;
    let bonuses = own.iter().map(|own| own.bonus);
    writer.add_owned("own.bonuses", &[own.len()], bonuses)
}

pub(super) fn read(tensors: &Tensors<'_>, header: &Header) -> Result<Parts> {
    let MadeOf::Nearest {
        max_multiplicity,
        form,
        concentration,
        empty_set_below,
        max_nodes,
    } = header.made_of
    else {
        return Err(malformed("expected prototypes, found a rule".into()));
    };
    let labels: Vec<u32> = tensors.require("labels")?.to_vec()?;
    let num_labels = labels.len();
    check_increasing("labels", &labels, header.num_classes)?;
    check(
        (1..=num_labels).contains(&max_multiplicity) && concentration.is_finite(),
        || {
            format!(
                "expected a largest multiplicity from 1 to the {num_labels} labels and a finite \
                 concentration, found {max_multiplicity} and {concentration}"
            )
        },
    )?;
    let own = read_own(tensors, num_labels)?;
    let width = match header.space {
        Space::Features => header.dim,
        Space::Logits => header.num_classes,
    };
    let shape = [num_labels + own.len(), width];
    let directions = tensors.require("directions")?.finite_of(&shape)?;
    let gram = read_gram(tensors, num_labels)?;
    let bonuses = finite_list(tensors, "bonuses", max_multiplicity)?;
    Ok(Parts {
        num_classes: header.num_classes,
        labels,
        directions: Mat::from_fn(num_labels + own.len(), width, |row, column| {
            directions[row * width + column]
        }),
        gram,
        max_multiplicity,
        form: match form {
            FormKind::Cosine => Form::Cosine { bonuses },
            FormKind::SquaredDistance | FormKind::Linear => Form::Quadratic {
                scales: read_scales(tensors, max_multiplicity)?,
                bonuses,
                offset: match form {
                    FormKind::SquaredDistance => Offset::SquaredNorm,
                    FormKind::Cosine | FormKind::Linear => Offset::None,
                },
            },
        },
        own,
        concentration,
        empty_set_below: empty_set_below.unwrap_or(f64::NEG_INFINITY),
        max_nodes,
    })
}

fn read_gram(tensors: &Tensors<'_>, num_labels: usize) -> Result<Vec<f64>> {
    let gram = tensors
        .require("gram")?
        .finite_of(&[num_labels, num_labels])?;
    let is_symmetric = (0..num_labels).all(|j| {
        let row = &gram[j * num_labels..][..num_labels];
        row[j] >= 0.0 && (0..j).all(|k| row[k] == gram[k * num_labels + j])
    });
    check(is_symmetric, || {
        "expected a symmetric `gram` with squared norms on its diagonal, found another".into()
    })?;
    Ok(gram)
}

fn read_scales(tensors: &Tensors<'_>, max_multiplicity: usize) -> Result<Vec<f64>> {
    let scales = finite_list(tensors, "scales", max_multiplicity)?;
    checked_scales(&scales, max_multiplicity).map_err(|error| malformed(error.to_string()))
}

fn read_own(tensors: &Tensors<'_>, num_labels: usize) -> Result<Vec<OwnPrototype>> {
    let starts: Vec<u32> = tensors.require("own.starts")?.to_vec()?;
    let classes: Vec<u32> = tensors.require("own.classes")?.to_vec()?;
    let num_own = starts.len().saturating_sub(1);
    let squared_norms = finite_list(tensors, "own.squared_norms", num_own)?;
    let bonuses = finite_list(tensors, "own.bonuses", num_own)?;
    let mut own = Vec::with_capacity(num_own);
    for (position, pair) in starts.windows(2).enumerate() {
        let classes = classes
            .get(pair[0] as usize..pair[1] as usize)
            .ok_or_else(|| {
                malformed(
                    "expected `own.starts` that rise within `own.classes`, found others".into(),
                )
            })?;
        check_increasing("own.classes", classes, num_labels)?;
        let squared_norm = squared_norms[position];
        check(squared_norm >= 0.0, || {
            format!("expected squared norms of at least 0, found {squared_norm}")
        })?;
        own.push(OwnPrototype {
            classes: classes.into(),
            squared_norm,
            bonus: bonuses[position],
        });
    }
    Ok(own)
}
