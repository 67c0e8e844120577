//! The names in a folder, in name order. They lie close together in memory, as a folder may hold a hundred thousand.

/// A name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leaf<'a> {
    pub(crate) name: &'a str,
    /// Whether it is a folder; links are not.
    pub(crate) folder: bool,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// All names, one behind the other.
    names: String,
    leaves: Vec<Place>,
    /// Names that are not UTF-8, with replacement characters, in no order; whether each is a folder.
    strange: Vec<(String, bool)>,
}

/// Where a name lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    from: usize,
    to: usize,
    folder: bool,
}

impl Place {
    fn leaf(self, names: &str) -> Leaf<'_> {
        Leaf {
            name: &names[self.from..self.to],
            folder: self.folder,
        }
    }
}

impl Listing {
    /// Adds a name; the order comes with [`Listing::sort`].
    pub(super) fn push(&mut self, leaf: Leaf<'_>) {
        let from = self.names.len();
        self.names.push_str(leaf.name);
        self.leaves.push(Place {
            from,
            to: self.names.len(),
            folder: leaf.folder,
        });
    }

    /// Adds a name that is not UTF-8, as it may be shown.
    pub(super) fn push_strange(&mut self, shown: String, folder: bool) {
        self.strange.push((shown, folder));
    }

    /// Names that are not UTF-8, as they may be shown, and whether each is a folder.
    pub(crate) fn strange(&self) -> &[(String, bool)] {
        &self.strange
    }

    /// Puts the names in order.
    pub(super) fn sort(&mut self) {
        let names = &self.names;
        self.leaves
            .sort_unstable_by(|one, other| one.leaf(names).cmp(&other.leaf(names)));
    }

    /// The name at a place, counted from 0.
    pub(crate) fn leaf(&self, at: usize) -> Option<Leaf<'_>> {
        self.leaves.get(at).map(|place| place.leaf(&self.names))
    }

    /// All names.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Leaf<'_>> {
        self.leaves.iter().map(|place| place.leaf(&self.names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_order() {
        let mut listing = Listing::default();
        for (name, folder) in [("b", true), ("站", false), ("a", false), ("", false)] {
            listing.push(Leaf { name, folder });
        }
        listing.sort();
        let names: Vec<_> = listing
            .iter()
            .map(|leaf| (leaf.name, leaf.folder))
            .collect();
        assert_eq!(
            names,
            [("", false), ("a", false), ("b", true), ("站", false)]
        );
        assert_eq!(listing.leaf(2).map(|leaf| leaf.name), Some("b"));
        assert_eq!(listing.leaf(4), None);
    }
}
