//! A rule file of the user's, made to fit another interface.

use std::path::Path;

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::case::INTERFACE;

/// Changes a rule file so that it guards the interface of an arena, in native mode, with the lists
/// that it names found in `folder`. Its tests are left out.
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
    Ok(toml::to_string(&file)?)
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
