//! The compiler's estimate of the cost of a packet, as in `firewall check --plan`, without the
//! other checks of that command.

use std::{fs, io, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use firewall_ebpf::abi::{FIRST_RULE_SLOT, MAX_IMAGE_SIZE};
use rules::{
    compiler::{CompileError, InterfaceIndex, SectionPlan, Target, compile},
    diagnostics::{Source, render},
    load,
};

use super::case::INTERFACE;

/// The maximum over all sections of the expected nanoseconds per packet with the rules of a file,
/// or the reason why the compiler refuses the rules.
///
/// # Errors
///
/// If the file is not a rule file.
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
