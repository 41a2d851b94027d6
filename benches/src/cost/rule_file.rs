//! Adapts a user's rule file to another interface.

use std::path::Path;

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::case::INTERFACE;

/// Changes a rule file so that it guards the interface of a testbed, in native mode, and finds the
/// lists that it names in `folder`. Its tests are removed.
///
/// A rule for certain interfaces becomes one for the interface of the testbed, and a rule for all
/// but some becomes one for all, so that as many rules as possible apply.
///
/// # Errors
///
/// If the text is not TOML, or has no table `firewall`.
pub fn retarget(text: &str, folder: &Path) -> Result<String> {
    let mut file: Table = toml::from_str(text)?;
    let settings = file
        .get_mut("firewall")
        .and_then(Value::as_table_mut)
        .context("the rule file has no table `firewall`")?;
    let interface = Value::String(INTERFACE.to_owned());
    settings.insert("interfaces".to_owned(), Value::Array(vec![interface]));
    settings.insert("mode".to_owned(), Value::String("native".to_owned()));
    file.remove("test");
    let sets = file.get_mut("sets").and_then(Value::as_table_mut);
    for (_, set) in sets.into_iter().flatten() {
        if let Some(Value::String(list)) = set.get_mut("file") {
            *list = folder.join(&*list).display().to_string();
        }
    }
    let rules = file.get_mut("rule").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter_map(Value::as_table_mut) {
        if let Some(interface) = rule.remove("interface")
            && names_one(&interface)
        {
            let here = Value::String(INTERFACE.to_owned());
            rule.insert("interface".to_owned(), here);
        }
    }
    Ok(toml::to_string(&file)?)
}

/// Whether a rule names an interface without negation.
fn names_one(interface: &Value) -> bool {
    if let Some(names) = interface.as_array() {
        return names.iter().any(names_one);
    }
    let name = interface.as_str();
    name.is_some_and(|name| !name.starts_with('!'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_lists_change_and_rules_stay() {
        let text = "
            [firewall]
            interfaces = [\"eth0\"]
            mode = \"auto\"
            policy = \"drop\"
            [sets]
            listed = { file = \"lists/a.txt\" }
            office = [\"192.0.2.0/24\"]
            [[rule]]
            name = \"one\"
            action = \"pass\"
            src = \"@office\"
            interface = [\"eth0\", \"!eth1\"]
            [[rule]]
            name = \"other\"
            action = \"pass\"
            interface = \"!eth1\"
            [[test]]
            name = \"two\"
        ";
        let changed: Table =
            toml::from_str(&retarget(text, Path::new("/etc/fw")).unwrap()).unwrap();
        let expected: Table = toml::from_str(
            "
            [firewall]
            interfaces = [\"@interface@\"]
            mode = \"native\"
            policy = \"drop\"
            [sets]
            listed = { file = \"/etc/fw/lists/a.txt\" }
            office = [\"192.0.2.0/24\"]
            [[rule]]
            name = \"one\"
            action = \"pass\"
            src = \"@office\"
            interface = \"@interface@\"
            [[rule]]
            name = \"other\"
            action = \"pass\"
            ",
        )
        .unwrap();
        assert_eq!(changed, expected);
    }

    #[test]
    fn a_file_without_settings_is_refused() {
        retarget("[sets]\n", Path::new("/")).unwrap_err();
        retarget("[", Path::new("/")).unwrap_err();
    }
}
