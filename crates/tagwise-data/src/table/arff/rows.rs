use tagwise_base::LabelSet;

use super::Attribute;
use super::columns::{Columns, Role};
use super::header::weight;
use super::token::{Token, Tokens};
use crate::table::{Features, SparseRows, Unlabelled};

/// Takes row after row; dense until the first sparse row comes.
pub(super) struct Builder<'a> {
    attributes: &'a [Attribute],
    columns: &'a Columns,
    missing: Unlabelled,
    on: Vec<bool>,
    row: Vec<(u32, f64)>,
    /// The attributes that a sparse row names, for its own checks.
    named: Vec<usize>,
    lacks_labels: bool,
    dense: Vec<f64>,
    sparse: Option<SparseRows>,
    /// The label set of each row.
    pub(super) sets: Vec<LabelSet>,
    /// The rows of which a label is missing.
    pub(super) unlabelled: Vec<usize>,
    /// How many rows have a weight other than 1.
    pub(super) num_weighted: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        attributes: &'a [Attribute],
        columns: &'a Columns,
        missing: Unlabelled,
    ) -> Self {
        Self {
            attributes,
            columns,
            missing,
            on: vec![false; columns.on_when_left_out.len()],
            row: Vec::new(),
            named: Vec::new(),
            lacks_labels: false,
            dense: Vec::new(),
            sparse: None,
            sets: Vec::new(),
            unlabelled: Vec::new(),
            num_weighted: 0,
        }
    }

    /// Adds the row of a line.
    pub(super) fn push(&mut self, line: &str) -> Result<(), String> {
        self.row.clear();
        self.lacks_labels = false;
        let mut tokens = Tokens::new(line);
        let is_sparse = match tokens.next()? {
            None => return Ok(()),
            Some(Token::Open) => {
                self.take_sparse(&mut tokens)?;
                true
            }
            Some(first) => {
                self.take_dense(first, &mut tokens)?;
                false
            }
        };
        self.row.sort_unstable_by_key(|&(column, _)| column);
        if self.lacks_labels {
            self.unlabelled.push(self.sets.len());
        }
        self.sets.push(LabelSet::from_multi_hot(&self.on));
        if is_sparse && self.sparse.is_none() {
            self.sparse = Some(self.dense_as_sparse());
        }
        match &mut self.sparse {
            Some(rows) => rows.push(&self.row),
            None => {
                let start = self.dense.len();
                self.dense.resize(start + self.columns.names.len(), 0.0);
                for &(column, value) in &self.row {
                    self.dense[start + column as usize] = value;
                }
            }
        }
        Ok(())
    }

    fn take_dense(&mut self, first: Token<'_>, tokens: &mut Tokens<'_>) -> Result<(), String> {
        self.on.fill(false);
        let num_attributes = self.attributes.len();
        let (mut next, mut found) = (Some(first), 0);
        while let Some(token) = next {
            match token {
                Token::Open if found == num_attributes => return self.take_weight(tokens),
                Token::Open | Token::Close => {
                    return Err(format!(
                        "expected values, found {:?} outside quotes",
                        token.shown()
                    ));
                }
                token if found < num_attributes => self.put(found, &token)?,
                _ => {}
            }
            found += 1;
            next = tokens.next()?;
        }
        if found != num_attributes {
            return Err(format!(
                "expected {num_attributes} values, one per attribute, found {found}"
            ));
        }
        Ok(())
    }

    fn take_sparse(&mut self, tokens: &mut Tokens<'_>) -> Result<(), String> {
        self.on.copy_from_slice(&self.columns.on_when_left_out);
        self.named.clear();
        loop {
            let attribute = match tokens.next()? {
                Some(Token::Close) => break,
                Some(token) => self.attribute_number(token.shown())?,
                None => return Err("expected a sparse row to end with a brace".into()),
            };
            self.named.push(attribute);
            match tokens.next()? {
                Some(Token::Open | Token::Close) => {
                    return Err(format!(
                        "expected an attribute's number and a value, found \"{attribute}\""
                    ));
                }
                Some(value) => self.put(attribute, &value)?,
                None => return Err("expected a sparse row to end with a brace".into()),
            }
        }
        self.named.sort_unstable();
        if let Some(twice) = self.named.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!(
                "expected each attribute once, found {} twice",
                twice[0]
            ));
        }
        for &(attribute, first) in &self.columns.one_hot {
            if self.named.binary_search(&attribute).is_err() {
                self.row.push((first, 1.0));
            }
        }
        match tokens.next()? {
            None => Ok(()),
            Some(Token::Open) => self.take_weight(tokens),
            Some(other) => Err(format!(
                "expected the end of the line behind a sparse row, found {:?}",
                other.shown()
            )),
        }
    }

    fn attribute_number(&self, text: &str) -> Result<usize, String> {
        let position = text.parse::<usize>().ok();
        let position = position.filter(|&position| position < self.attributes.len());
        position.ok_or_else(|| {
            format!(
                "expected an attribute's number from 0 to {}, found {text:?}",
                self.attributes.len().saturating_sub(1)
            )
        })
    }

    fn take_weight(&mut self, tokens: &mut Tokens<'_>) -> Result<(), String> {
        self.num_weighted += usize::from(weight(tokens)? != 1.0);
        match tokens.next()? {
            None => Ok(()),
            Some(other) => Err(format!(
                "expected the end of the line behind the weight, found {:?}",
                other.shown()
            )),
        }
    }

    /// Puts one cell where its attribute's role says.
    fn put(&mut self, attribute: usize, token: &Token<'_>) -> Result<(), String> {
        let role = self.columns.roles[attribute];
        if role == Role::LeftOut {
            return Ok(());
        }
        let described = &self.attributes[attribute];
        let Token::Word(text) = token else {
            return self.put_missing(role, &described.name);
        };
        let value = described.value(text)?;
        match role {
            Role::Label(label) => self.on[label as usize] = described.is_on(value)?,
            Role::Column(column) => self.row.push((column, value)),
            Role::OneHot(first) => self.row.push((first + value as u32, 1.0)),
            Role::LeftOut => {}
        }
        Ok(())
    }

    fn put_missing(&mut self, role: Role, name: &str) -> Result<(), String> {
        match (role, self.missing) {
            (Role::Label(label), Unlabelled::Keep) => {
                self.on[label as usize] = false;
                self.lacks_labels = true;
                Ok(())
            }
            (Role::Label(_), Unlabelled::Refuse) => Err(format!(
                "expected a value of the label {name:?}, found ? (missing); rows without labels \
                 can be decoded, not learned from or judged"
            )),
            _ => Err(format!(
                "expected a value of {name:?}, found ? (missing); fill it in or leave the \
                 attribute out (option leave-out)"
            )),
        }
    }

    /// Adds the rows of another part.
    pub(super) fn append(&mut self, part: Self) {
        if part.sparse.is_some() && self.sparse.is_none() {
            self.sparse = Some(self.dense_as_sparse());
        }
        match &mut self.sparse {
            Some(rows) => match &part.sparse {
                Some(more) => rows.append(more),
                None => rows.append(&part.dense_as_sparse()),
            },
            None => self.dense.extend_from_slice(&part.dense),
        }
        let first = self.sets.len();
        self.unlabelled
            .extend(part.unlabelled.iter().map(|row| first + row));
        self.sets.extend(part.sets);
        self.num_weighted += part.num_weighted;
    }

    fn dense_as_sparse(&self) -> SparseRows {
        let num_features = self.columns.names.len();
        let mut rows = SparseRows::new(num_features);
        for row in self.dense.chunks_exact(num_features.max(1)) {
            rows.push(&(0..).zip(row.iter().copied()).collect::<Vec<_>>());
        }
        rows
    }

    pub(super) fn into_features(self) -> Features {
        match self.sparse {
            Some(rows) => Features::Sparse(rows),
            None => Features::Dense {
                num_features: self.columns.names.len(),
                values: self.dense,
            },
        }
    }
}
