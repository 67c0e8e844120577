//! The manual page: one for the whole program, each command with its options in a section of its own.

use std::io;

use clap::Command;
use clap_mangen::Man;

/// Writes the page as roff.
pub(super) fn page(mut program: Command) -> io::Result<Vec<u8>> {
    program.build();
    let mut text = Vec::new();
    let whole = Man::new(program.clone());
    whole.render_title(&mut text)?;
    whole.render_name_section(&mut text)?;
    whole.render_synopsis_section(&mut text)?;
    whole.render_description_section(&mut text)?;
    whole.render_options_section(&mut text)?;
    for command in program
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        text.extend(section(command)?);
    }
    whole.render_extra_section(&mut text)?;
    Ok(text)
}

/// A command: the sections of its own page become parts of one section.
fn section(command: &Command) -> io::Result<Vec<u8>> {
    // what every command has is told once
    let own = command.clone().mut_args(|arg| {
        let everywhere = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(everywhere)
    });
    let man = Man::new(own);
    let mut parts = Vec::new();
    man.render_synopsis_section(&mut parts)?;
    man.render_description_section(&mut parts)?;
    if command
        .get_arguments()
        .any(|arg| !arg.is_global_set() && arg.get_id() != "help")
    {
        man.render_options_section(&mut parts)?;
    }
    let parts = String::from_utf8_lossy(&parts);
    let heading = format!(".SH \"{}\"\n", command.get_name().to_uppercase());
    let lines = parts.lines().filter(|line| {
        !line.starts_with(".SH ") && !line.starts_with(".ie") && !line.starts_with(".el")
    });
    let mut text = heading;
    for line in lines {
        text.push_str(line);
        text.push('\n');
        if line.starts_with("\\fBprocctl") {
            text.push_str(".PP\n");
        }
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_has_its_section() {
        let text = String::from_utf8(page(Cli::command()).unwrap()).unwrap();
        for heading in ["STATUS", "HISTORY", "TRIGGER", "RUN"] {
            assert!(text.contains(&format!(".SH \"{heading}\"\n")), "{text}");
        }
        assert!(text.contains("\\-\\-watch"), "{text}");
        assert_eq!(text.matches("The home folder:").count(), 1, "{text}");
    }
}
