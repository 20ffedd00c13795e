//! Merkle tree hashes and proofs (RFC 6962 sections 2.1, 2.1.1, 2.1.2), checked against nothing but themselves.

use aws_lc_rs::digest::{Context, SHA256};

/// SHA-256 of a leaf or node.
pub type Hash = [u8; 32];

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|p| context.update(p));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Hash of an entry.
#[must_use]
pub fn leaf(entry: &[u8]) -> Hash {
    hash(&[&[0], entry])
}

/// Hash of two subtrees.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

/// Hash of the tree over these leaves; of no leaves, SHA-256 of nothing.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => hash(&[]),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(split(more.len()));
            node(&root(left), &root(right))
        }
    }
}

/// Largest power of two below `n`.
fn split(n: usize) -> usize {
    n.saturating_sub(1).checked_ilog2().map_or(0, |bits| 1_usize.wrapping_shl(bits))
}

/// Path from leaf `index` to the root.
#[must_use]
pub fn inclusion(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() <= 1 || index >= leaves.len() {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, other) = if index < k {
        (inclusion(left, index), root(right))
    } else {
        (inclusion(right, index.saturating_sub(k)), root(left))
    };
    path.push(other);
    path
}

/// The root that a path leads to, if it has the right length.
#[must_use]
pub fn root_from_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, size.saturating_sub(1), leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// Proof that the tree of the first `old` leaves is a beginning of this one.
#[must_use]
pub fn consistency(leaves: &[Hash], old: usize) -> Vec<Hash> {
    if old == 0 || old >= leaves.len() {
        return Vec::new();
    }
    subproof(leaves, old, true)
}

fn subproof(leaves: &[Hash], old: usize, whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, other) = if old <= k {
        (subproof(left, old, whole), root(right))
    } else {
        (subproof(right, old.saturating_sub(k), false), root(left))
    };
    path.push(other);
    path
}

/// True if the proof leads from the old root to the new one (RFC 9162 section 2.1.4.2).
#[must_use]
pub fn is_consistent(old: (u64, Hash), new: (u64, Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == new_size {
        return old_root == new_root && proof.is_empty();
    }
    if old_size == 0 {
        return proof.is_empty();
    }
    if old_size > new_size {
        return false;
    }
    let mut rest = proof.iter();
    let first = if old_size.is_power_of_two() { Some(old_root) } else { rest.next().copied() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (old_size.saturating_sub(1), new_size.saturating_sub(1));
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut from_old, mut from_new) = (first, first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            from_old = node(sibling, &from_old);
            from_new = node(sibling, &from_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node(&from_new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == old_root && from_new == new_root
}

/// A growing tree with the hash of every whole subtree: roots and proofs of any size cost a few hashes, not all of them.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Level k holds the roots of the whole subtrees of 2^k leaves, from the left.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else { return };
            row.push(hash);
            let [.., left, right] = row.as_slice() else { return };
            if row.len() & 1 == 1 {
                return;
            }
            hash = node(left, right);
        }
    }

    /// Leaves so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// True before the first leaf.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The roots of the whole subtrees of 2^`level` leaves: what tiles are cut from.
    #[must_use]
    pub fn level(&self, level: usize) -> &[Hash] {
        self.levels.get(level).map_or(&[], Vec::as_slice)
    }

    /// The root over the first `size` leaves; none if there are fewer.
    #[must_use]
    pub fn root(&self, size: usize) -> Option<Hash> {
        if size == 0 { Some(root(&[])) } else { self.range(0, size) }
    }

    /// The root over `len` leaves from `start`, as it stands in a tree: `start` is a multiple of the power of two below `len`.
    fn range(&self, start: usize, len: usize) -> Option<Hash> {
        if len.is_power_of_two() {
            let level = usize::try_from(len.checked_ilog2()?).ok()?;
            return self.levels.get(level)?.get(start.checked_div(len)?).copied();
        }
        let left = split(len);
        let right = self.range(start.checked_add(left)?, len.checked_sub(left)?)?;
        Some(node(&self.range(start, left)?, &right))
    }

    /// Path from leaf `index` to the root over the first `size` leaves.
    #[must_use]
    pub fn inclusion(&self, index: usize, size: usize) -> Option<Vec<Hash>> {
        (index < size && size <= self.len()).then_some(())?;
        let (mut path, mut start, mut len) = (Vec::new(), 0_usize, size);
        // From the root down; the path is read from the leaf up.
        while len > 1 {
            let left = split(len);
            let middle = start.checked_add(left)?;
            let right = len.checked_sub(left)?;
            if index < middle {
                path.push(self.range(middle, right)?);
                len = left;
            } else {
                path.push(self.range(start, left)?);
                (start, len) = (middle, right);
            }
        }
        path.reverse();
        Some(path)
    }

    /// Proof that the tree of the first `old` leaves is a beginning of that of the first `size`.
    #[must_use]
    pub fn consistency(&self, old: usize, size: usize) -> Option<Vec<Hash>> {
        (old <= size && size <= self.len()).then_some(())?;
        if old == 0 || old == size {
            return Some(Vec::new());
        }
        let (mut path, mut start, mut len, mut rest) = (Vec::new(), 0_usize, size, old);
        while rest != len {
            let left = split(len);
            let middle = start.checked_add(left)?;
            let right = len.checked_sub(left)?;
            if rest <= left {
                path.push(self.range(middle, right)?);
                len = left;
            } else {
                path.push(self.range(start, left)?);
                (start, len, rest) = (middle, right, rest.checked_sub(left)?);
            }
        }
        if start > 0 {
            path.push(self.range(start, len)?);
        }
        path.reverse();
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf(&i.to_be_bytes())).collect()
    }

    fn size(n: usize) -> u64 {
        n.try_into().unwrap()
    }

    #[test]
    fn the_empty_tree_and_one_leaf_are_as_the_rfc_says() {
        assert_eq!(
            hex::encode(root(&[])),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex::encode(leaf(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn a_growing_tree_answers_as_hashing_everything_again_does() {
        let (all, mut tree) = (leaves(70), Tree::default());
        assert!(tree.is_empty());
        for n in 0..=70 {
            assert_eq!(tree.len(), n);
            for size in 0..=n {
                assert_eq!(tree.root(size), Some(root(&all[..size])), "{size} of {n}");
                for index in 0..size {
                    assert_eq!(tree.inclusion(index, size), Some(inclusion(&all[..size], index)));
                    assert_eq!(
                        tree.consistency(index, size),
                        Some(consistency(&all[..size], index)),
                        "{index} in {size}"
                    );
                }
            }
            assert_eq!(
                (tree.root(n + 1), tree.inclusion(n, n), tree.inclusion(0, n + 1)),
                (None, None, None)
            );
            assert_eq!((tree.consistency(n + 1, n), tree.consistency(n, n + 1)), (None, None));
            if let Some(leaf) = all.get(n) {
                tree.push(*leaf);
            }
        }
    }

    proptest! {
        #[test]
        fn every_entry_is_proved_and_no_other(n in 1_usize..120, i in 0_usize..120, flip in 0_usize..8) {
            let (all, i) = (leaves(n), i % n);
            let path = inclusion(&all, i);
            prop_assert_eq!(root_from_inclusion(all[i], size(i), size(n), &path), Some(root(&all)));
            let other = leaf(b"forged");
            prop_assert_ne!(root_from_inclusion(other, size(i), size(n), &path), Some(root(&all)));
            if n > 1 {
                let mut bad = path.clone();
                let at = flip % bad.len();
                bad[at][0] ^= 1;
                prop_assert_ne!(root_from_inclusion(all[i], size(i), size(n), &bad), Some(root(&all)));
                let wrong = (i + 1) % n;
                prop_assert_ne!(root_from_inclusion(all[i], size(wrong), size(n), &path), Some(root(&all)));
            }
        }

        #[test]
        fn every_beginning_is_consistent_and_no_other(n in 1_usize..120, m in 0_usize..120) {
            let (all, m) = (leaves(n), m % (n + 1));
            let proof = consistency(&all, m);
            let (old, new) = ((size(m), root(&all[..m])), (size(n), root(&all)));
            prop_assert!(is_consistent(old, new, &proof));
            let mut forked = old.1;
            forked[0] ^= 1;
            prop_assert!(m == 0 || !is_consistent((old.0, forked), new, &proof));
            let mut more = proof.clone();
            more.push([0; 32]);
            prop_assert!(!is_consistent(old, new, &more));
        }
    }
}
