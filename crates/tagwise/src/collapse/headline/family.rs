//! Headline metrics that share an axis, and the chart they are drawn in.

/// Metrics that share an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CollapseFamily {
    /// NC1.
    Nc1,
    /// NC2.
    Nc2,
    /// NC3.
    Nc3,
    /// NC_m.
    NcM,
}

impl CollapseFamily {
    /// Every family, in the order of the list.
    pub const ALL: [Self; 4] = [Self::Nc1, Self::Nc2, Self::Nc3, Self::NcM];

    /// The symbol on an axis.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Nc1 => "NC1",
            Self::Nc2 => "NC2",
            Self::Nc3 => "NC3",
            Self::NcM => "NC_m",
        }
    }

    /// The title of its curves; families of one title share a chart.
    pub fn title(self) -> &'static str {
        match self {
            Self::Nc1 => "Variability within label sets",
            Self::Nc2 | Self::Nc3 => "Distance from a simplex ETF",
            Self::NcM => "Distance from tag-wise averages",
        }
    }

    /// How to read its curves.
    pub fn caption(self) -> &'static str {
        match self {
            Self::Nc1 => {
                "0 when every feature equals the mean of its label set; measured in the directions \
                 in which the class means differ."
            }
            Self::Nc2 | Self::Nc3 => {
                "0 when class means, or classifier rows, are equally long, equally far apart, and \
                 the same up to scale."
            }
            Self::NcM => {
                "Angle of a label set's mean to the sum of its own class means, over the angle to \
                 all such sums: 1 is chance."
            }
        }
    }

    /// The value that means chance whatever the data, where there is one.
    pub fn chance(self) -> Option<f64> {
        match self {
            Self::NcM => Some(1.0),
            Self::Nc1 | Self::Nc2 | Self::Nc3 => None,
        }
    }
}
