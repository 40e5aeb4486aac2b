//! Lists of named numbers that can be laid on a board and taken from it again.

use super::board::{Reading, Writing};

/// Such a list.
pub(super) trait Figures {
    /// How many words it takes.
    const WORDS: usize;

    /// Gives all words, in an order that is always the same.
    fn give(&self, row: &mut Writing<'_>);

    /// Takes them in that order.
    fn take(row: &mut Reading<'_>) -> Self;
}

/// Defines a list: numbers, then rows of numbers.
macro_rules! figures {
    (
        $(#[$doc:meta])* $list:ident {
            $($(#[$figure_doc:meta])+ $figure:ident,)+
        }
        rows {
            $($(#[$row_doc:meta])+ $row:ident: $count:expr,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $list {
            $($(#[$figure_doc])+ pub $figure: u64,)+
            $($(#[$row_doc])+ pub $row: [u64; $count],)*
        }

        impl $crate::stats::figures::Figures for $list {
            const WORDS: usize = size_of::<$list>() / size_of::<u64>();

            #[inline]
            fn give(&self, row: &mut $crate::stats::board::Writing<'_>) {
                $(row.put(self.$figure);)+
                $(self.$row.iter().for_each(|word| row.put(*word));)*
            }

            fn take(row: &mut $crate::stats::board::Reading<'_>) -> Self {
                // Fields are made in the order in which they are written.
                $list {
                    $($figure: row.next(),)+
                    $($row: std::array::from_fn(|_| row.next()),)*
                }
            }
        }
    };
}

pub(super) use figures;
