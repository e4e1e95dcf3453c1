//! The members of an object: names in order, each once.
//!
//! Metadata is many small objects. A tree of nodes with room for eleven members each would hold more room than members, so
//! they lie in one list without any.

use super::Value;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::{self, Vec};
use core::ops::Index;

/// The members of an object, in the order of their names (by code point).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(Vec<(String, Value)>);

impl Members {
    /// No members.
    pub fn new() -> Self {
        Self::default()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.as_str().cmp(name))
    }

    /// The member called `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        Some(&self.0[self.place(name).ok()?].1)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let place = self.place(name).ok()?;
        Some(&mut self.0[place].1)
    }

    /// Whether there is a member called `name`.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Puts a member in, and gives the one that it replaces. Costs as many moves as there are members after it.
    pub fn insert(&mut self, name: String, value: Value) -> Option<Value> {
        match self.place(&name) {
            Ok(place) => Some(core::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                self.0.insert(place, (name, value));
                None
            }
        }
    }

    /// Takes the member called `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let place = self.place(name).ok()?;
        Some(self.0.remove(place).1)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each name with its value, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&String, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &String> + ExactSizeIterator {
        self.0.iter().map(|(name, _)| name)
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.0.iter().map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Value> + ExactSizeIterator {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// What goes together from a text that is being read.
    pub(super) fn reading() -> Reading {
        Reading::Few(Vec::new())
    }
}

/// Members as they are read, in whatever order; no order costs more than another by much.
pub(super) enum Reading {
    /// In order so far, or so few that moving them costs nothing.
    Few(Vec<(String, Value)>),
    /// Many, and out of order.
    Many(BTreeMap<String, Value>),
}

/// Up to so many members may be moved for each one that comes out of order.
const FEW: usize = 32;

impl Reading {
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Few(list) => match list.last() {
                Some((last, _)) if last.as_str() < name => false,
                Some(_) => list.binary_search_by(|(other, _)| other.as_str().cmp(name)).is_ok(),
                None => false,
            },
            Self::Many(tree) => tree.contains_key(name),
        }
    }

    /// Takes a member whose name is not there yet.
    pub(super) fn push(&mut self, name: String, value: Value) {
        match self {
            Self::Few(list) => {
                let place = match list.last() {
                    Some((last, _)) if *last >= name => list.partition_point(|(other, _)| *other < name),
                    _ => list.len(),
                };
                if place == list.len() || list.len() < FEW {
                    list.insert(place, (name, value));
                    return;
                }
                let mut tree: BTreeMap<_, _> = core::mem::take(list).into_iter().collect();
                tree.insert(name, value);
                *self = Self::Many(tree);
            }
            Self::Many(tree) => drop(tree.insert(name, value)),
        }
    }

    pub(super) fn done(self) -> Members {
        let mut list: Vec<_> = match self {
            Self::Few(list) => list,
            Self::Many(tree) => tree.into_iter().collect(),
        };
        list.shrink_to_fit();
        Members(list)
    }
}

/// Of several members with one name the last one stays.
impl FromIterator<(String, Value)> for Members {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        BTreeMap::from_iter(members).into()
    }
}

impl From<BTreeMap<String, Value>> for Members {
    fn from(members: BTreeMap<String, Value>) -> Self {
        Self(members.into_iter().collect())
    }
}

impl<const N: usize> From<[(String, Value); N]> for Members {
    fn from(members: [(String, Value); N]) -> Self {
        members.into_iter().collect()
    }
}

impl Extend<(String, Value)> for Members {
    fn extend<I: IntoIterator<Item = (String, Value)>>(&mut self, members: I) {
        *self = core::mem::take(self).into_iter().chain(members).collect();
    }
}

impl IntoIterator for Members {
    type Item = (String, Value);
    type IntoIter = vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Members {
    type Item = (&'a String, &'a Value);
    type IntoIter = core::iter::Map<core::slice::Iter<'a, (String, Value)>, fn(&'a (String, Value)) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

impl Index<&str> for Members {
    type Output = Value;

    /// # Panics
    /// If there is no such member.
    fn index(&self, name: &str) -> &Value {
        match self.get(name) {
            Some(value) => value,
            None => panic!("no member is called {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn any_order_gives_the_same_members() {
        for count in [0, 1, 2, 31, 32, 33, 200_u64] {
            let member = |n: u64| (format!("{:03}", n * 7 % 211), Value::from(n));
            let expected: BTreeMap<_, _> = (0..count).map(member).collect();
            let orders: [Vec<_>; 3] = [(0..count).collect(), (0..count).rev().collect(), {
                let mut sorted: Vec<_> = (0..count).collect();
                sorted.sort_by_key(|n| n * 7 % 211);
                sorted
            }];
            for order in orders {
                let mut reading = Members::reading();
                for (name, value) in order.into_iter().map(member) {
                    assert!(!reading.has(&name));
                    reading.push(name.clone(), value);
                    assert!(reading.has(&name));
                }
                let members = reading.done();
                assert_eq!(members, Members::from(expected.clone()));
                assert!(members.iter().eq(expected.iter()));
                assert!(expected.iter().all(|(name, value)| members.get(name) == Some(value)));
            }
        }
    }

    #[test]
    fn members_are_changed_in_place() {
        let mut members = Members::new();
        for name in ["b", "a", "c", "b"] {
            members.insert(name.into(), Value::from(name));
        }
        assert!(members.keys().eq(["a", "b", "c"]));
        assert_eq!(members.insert("b".into(), Value::Null), Some(Value::from("b")));
        assert_eq!(members.remove("a"), Some(Value::from("a")));
        assert_eq!(members.remove("a"), None);
        *members.get_mut("c").unwrap() = Value::from(1);
        members.extend([("c".into(), Value::from(2)), ("d".into(), Value::from(3))]);
        assert_eq!((members.len(), members.get("c")), (3, Some(&Value::from(2))));
        assert!(members.contains_key("d") && !members.contains_key("a"));
    }
}
