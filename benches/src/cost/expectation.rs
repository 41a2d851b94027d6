//! What the compiler expects a packet to cost: what `firewall check --plan` says, without the rest
//! of what that command finds out.

use std::{fs, io, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use firewall_ebpf::abi::{FIRST_RULE_SLOT, MAX_IMAGE_SIZE};
use rules::{
    compiler::{CompileError, InterfaceIndex, SectionPlan, Target, compile},
    diagnostics::{Source, render},
    load,
};

use super::case::INTERFACE;

/// The expected nanoseconds of a packet that the rules of a file judge, in the section where they
/// are the most; or why the compiler refuses the rules.
///
/// # Errors
///
/// If the file is no rule file.
pub(super) fn of(file: &Path) -> Result<Result<u32, CompileError>> {
    let text = fs::read_to_string(file)?;
    let source = Arc::new(Source::new("rules.toml", text));
    let folder = file.parent().context("a file without a folder")?;
    let loaded = load(&source, |name| {
        let text = fs::read_to_string(folder.join(name))?;
        Ok::<_, io::Error>(Source::new(name, text))
    });
    let ruleset = match loaded {
        Ok(loaded) => loaded.ruleset,
        Err(errors) => bail!("{}", errors.iter().map(render).collect::<String>()),
    };
    let slots: Vec<_> = (FIRST_RULE_SLOT..).take(ruleset.rules.len()).collect();
    let image = compile(
        &ruleset,
        &Target {
            interfaces: &[(InterfaceIndex(1), INTERFACE.to_owned())],
            slots: &slots,
            metadata: &[],
            max_bytes: MAX_IMAGE_SIZE as usize,
        },
    );
    Ok(image.map(|image| {
        let sections = image.plan().sections.iter();
        sections.map(SectionPlan::nanoseconds).max().unwrap_or(0)
    }))
}
