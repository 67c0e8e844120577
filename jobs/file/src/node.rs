//! The tree that a file becomes: elements with attributes, children and text, each with its place.
//!
//! Knows nothing of XML syntax (`parse`) nor of what the names mean (`de`).

use crate::problem::Pos;
use std::fmt;

/// An attribute. `Debug` hides values that came out of `${…}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name as written.
    pub name: String,
    /// The value, entities replaced.
    pub value: String,
    /// Where the name begins.
    pub pos: Pos,
    /// True once a `${…}` in the value was replaced: the value is not to be shown.
    pub secret: bool,
}

/// An element. `Debug` hides values that came out of `${…}`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The name as written.
    pub name: String,
    /// Where its `<` stands.
    pub pos: Pos,
    /// Attributes in the order of the text, each name once.
    pub attributes: Vec<Attribute>,
    /// Child elements in the order of the text.
    pub children: Vec<Node>,
    /// All text directly in the element, joined, entities replaced, line ends as `\n`.
    pub text: String,
    /// Where the first text that is not blank begins; the element's own place if there is none.
    pub text_pos: Pos,
    /// True once a `${…}` in the text was replaced: the text is not to be shown.
    pub secret: bool,
}

impl Node {
    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The child elements of that name, in order.
    pub fn children_named(&self, name: &str) -> impl Iterator<Item = &Node> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// True if both say the same, wherever they stand in their files.
    pub fn says_the_same(&self, other: &Node) -> bool {
        let attributes = |n: &Node| {
            let mut all: Vec<_> = n
                .attributes
                .iter()
                .map(|a| (a.name.clone(), a.value.clone()))
                .collect();
            all.sort();
            all
        };
        self.name == other.name
            && self.text.trim() == other.text.trim()
            && attributes(self) == attributes(other)
            && self.children.len() == other.children.len()
            && self
                .children
                .iter()
                .zip(&other.children)
                .all(|(a, b)| a.says_the_same(b))
    }
}

const HIDDEN: &str = "***";

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.secret { HIDDEN } else { &self.value };
        write!(f, "{}={value:?}", self.name)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.secret {
            HIDDEN
        } else {
            self.text.trim()
        };
        f.debug_struct(&self.name)
            .field("attributes", &self.attributes)
            .field("children", &self.children)
            .field("text", &text)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;
    use std::path::Path;

    #[test]
    fn layout_does_not_matter_but_content_does() {
        let tree = |text: &str| parse(Path::new("a.xml"), text.as_bytes()).unwrap();
        let a = tree("<a x='1' y='2'><b>t</b></a>");
        assert!(a.says_the_same(&tree("<a y='2'\n x='1'>\n <b> t </b></a>")));
        assert!(!a.says_the_same(&tree("<a x='1' y='3'><b>t</b></a>")));
        assert!(!a.says_the_same(&tree("<a x='1' y='2'><b>t</b><b/></a>")));
    }
}
