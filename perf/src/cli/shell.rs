//! Completions for shells, and the manual page: made of the command line itself.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;

/// Flags of `completions`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Prints what makes a shell complete a command line.
pub(crate) fn completions(mut command: Command, args: CompletionsArgs) -> io::Result<()> {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut text);
    io::stdout().write_all(&text)
}

/// Prints the manual page of a command line, with a part for each mode.
pub(crate) fn manual(mut command: Command) -> io::Result<()> {
    // Flags of all modes are put into each of them.
    command.build();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    for mode in command.get_subcommands().filter(|mode| !mode.is_hide_set()) {
        writeln!(text, ".SH \"{}\"", mode.get_name().to_uppercase())?;
        let part = clap_mangen::Man::new(mode.clone());
        part.render_description_section(&mut text)?;
        part.render_options_section(&mut text)?;
    }
    io::stdout().write_all(&text)
}
