//! The name that was meant by a misspelled word.

/// Words of other firewalls, and what they are called here.
const SYNONYMS: &[(&str, &str)] = &[
    ("accept", "pass"),
    ("allow", "pass"),
    ("permit", "pass"),
    ("block", "drop"),
    ("deny", "drop"),
    ("reject", "drop"),
    ("saddr", "src"),
    ("source", "src"),
    ("from", "src"),
    ("daddr", "dst"),
    ("destination", "dst"),
    ("to", "dst"),
    ("protocol", "proto"),
    ("ether_type", "ethertype"),
    ("vlan_id", "vlan"),
    ("hoplimit", "ttl"),
    ("hop_limit", "ttl"),
    ("frag", "fragment"),
    ("smac", "src_mac"),
    ("dmac", "dst_mac"),
    ("mac", "src_mac"),
    ("port", "dport"),
    ("iif", "interface"),
    ("iifname", "interface"),
    ("verdict", "action"),
    ("skb", "generic"),
    ("driver", "native"),
    ("inet6", "ipv6"),
    ("inet", "ipv4"),
];

/// The candidate that was probably meant by `word`: what other firewalls' word for it stands for,
/// or the one with the fewest typing errors, if they are few for the length of the word.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let meant = SYNONYMS
        .iter()
        .find_map(|(synonym, meant)| (*synonym == word).then_some(*meant));
    let length = word.chars().count();
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            if meant == Some(candidate) {
                return Some((0, candidate));
            }
            // The lengths alone exclude most candidates.
            if length.abs_diff(candidate.chars().count()) > allowed {
                return None;
            }
            let distance = edit_distance(&word, &candidate.to_lowercase());
            (distance <= allowed).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The least number of insertions, deletions, replacements and swaps of neighbors that turn `a`
/// into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Rows of the table of distances between prefixes: of `a` less its last character, of `a`.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        // All rows have `b.len() + 1` cells, and `j` is below `b.len()`.
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_typing_errors() {
        for (a, b, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("action", "action", 0),
            ("acton", "action", 1),
            ("acttion", "action", 1),
            ("axtion", "action", 1),
            ("actoin", "action", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
            assert_eq!(edit_distance(b, a), distance, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_name_is_near_or_a_synonym() {
        let keys = ["action", "name", "src", "dst"];
        assert_eq!(nearest("acton", keys), Some("action"));
        assert_eq!(nearest("ACTION", keys), Some("action"));
        assert_eq!(nearest("daddr", keys), Some("dst"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("accept", keys), None);
    }
}
