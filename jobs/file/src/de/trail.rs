//! The way from the root to a value, kept on the stack and written out only when there is a problem.

/// One step and the steps above it.
#[derive(Clone, Copy)]
pub(super) struct Trail<'t> {
    above: Option<&'t Trail<'t>>,
    name: &'t str,
    index: Option<usize>,
}

impl<'t> Trail<'t> {
    pub(super) fn root() -> Trail<'static> {
        Trail {
            above: None,
            name: "",
            index: None,
        }
    }

    pub(super) fn field(&'t self, name: &'t str) -> Trail<'t> {
        Trail {
            above: Some(self),
            name,
            index: None,
        }
    }

    /// The same step as the n-th of its name, from 1.
    pub(super) fn nth(self, index: usize) -> Trail<'t> {
        Trail {
            index: Some(index),
            ..self
        }
    }

    /// As in `table[2].mode`; empty for the root.
    pub(super) fn path(&self) -> String {
        let mut path = self.above.map(Trail::path).unwrap_or_default();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(self.name);
        if let Some(index) = self.index {
            path.push_str(&format!("[{index}]"));
        }
        path
    }
}
