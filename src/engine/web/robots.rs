//! What a site asks robots to leave alone (RFC 9309).

/// As sites address us.
const NAME: &str = "crewline";

/// Whether a `robots.txt` lets us fetch a path (with its query). The longest rule that fits counts; of two as long, the one that allows.
pub(super) fn allows(robots: &str, path: &str) -> bool {
    let groups = groups(robots);
    let ours = |name: &str| groups.iter().filter(move |(names, _)| names.iter().any(|named| named == name)).collect::<Vec<_>>();
    let mut mine = ours(NAME);
    if mine.is_empty() {
        mine = ours("*");
    }
    let rules = mine.iter().flat_map(|(_, rules)| rules).filter(|(_, pattern)| fits(pattern, path));
    rules.max_by_key(|(allows, pattern)| (pattern.len(), *allows)).is_none_or(|(allows, _)| *allows)
}

type Group = (Vec<String>, Vec<(bool, String)>);

fn groups(robots: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for line in robots.trim_start_matches('\u{feff}').lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        match key.as_str() {
            "user-agent" => {
                let name = value.split('/').next().unwrap_or_default().trim().to_ascii_lowercase();
                match groups.last_mut().filter(|(_, rules)| rules.is_empty()) {
                    Some((names, _)) => names.push(name),
                    None => groups.push((vec![name], Vec::new())),
                }
            }
            "allow" | "disallow" => {
                if let Some((_, rules)) = groups.last_mut() {
                    // An empty rule forbids nothing; it ends the list of names all the same.
                    rules.push((key == "allow" || value.is_empty(), value.to_owned()));
                }
            }
            _ => {}
        }
    }
    groups
}

/// Whether a path begins as a pattern says: `*` is anything, `$` at its end the path's end.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, whole) = pattern.strip_suffix('$').map_or((pattern, false), |pattern| (pattern, true));
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| path.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return !whole || rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if whole && parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rule_of_our_own_group_counts() {
        let robots = "User-agent: *\nDisallow: /\n\nUser-Agent: other\nUser-agent: Crewline/2 # us\nDisallow: /private\nAllow: /private/open\nDisallow: /*.pdf$\nDisallow: /a*b\nCrawl-delay: 5\n";
        for (path, expected) in [
            ("/", true),
            ("/private", false),
            ("/private/x", false),
            ("/private/open/x", true),
            ("/x.pdf", false),
            ("/x.pdf?page=1", true),
            ("/axxb", false),
            ("/axx", true),
        ] {
            assert_eq!(allows(robots, path), expected, "{path}");
        }
        assert!(!allows("user-agent: *\ndisallow: /", "/x"));
        assert!(allows("user-agent: *\ndisallow:", "/x") && allows("", "/x") && allows("<html>", "/x"));
        assert!(allows("user-agent: *\ndisallow: /x\nallow: /x", "/x"), "of two as long, the one that allows");
    }
}
