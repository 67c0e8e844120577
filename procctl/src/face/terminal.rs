//! The terminal, if there is one: its width, whether colours are wanted, how a view is drawn anew
//! in place.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// How text goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Columns; `None` where nothing is to be cut (a file, a pipe).
    pub width: Option<usize>,
    /// Lines.
    pub height: usize,
    /// Whether colours may be used.
    pub colours: bool,
}

/// Colours by their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// As text is.
    Plain,
    /// All is well.
    Good,
    /// Worth a look.
    Notice,
    /// Something is wrong.
    Bad,
    /// Of little weight.
    Faint,
    /// Headings.
    Strong,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Plain => "",
            Colour::Good => "\x1b[32m",
            Colour::Notice => "\x1b[33m",
            Colour::Bad => "\x1b[31m",
            Colour::Faint => "\x1b[2m",
            Colour::Strong => "\x1b[1m",
        }
    }
}

impl Terminal {
    /// Neither width nor colours: for files and pipes.
    pub const NONE: Terminal = Terminal {
        width: None,
        height: 24,
        colours: false,
    };

    /// What standard output is. `NO_COLOR`, when set, is heeded (no-color.org).
    pub fn of_stdout() -> Terminal {
        let out = io::stdout();
        if !out.is_terminal() {
            return Terminal::NONE;
        }
        let size = rustix::termios::tcgetwinsize(&out).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        Terminal {
            width: Some(size.map_or(80, |size| size.ws_col.into())),
            height: size.map_or(24, |size| size.ws_row.into()),
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::env::var_os("TERM").is_some_and(|term| term != "dumb"),
        }
    }

    /// `text` in `colour`, or as it is where colours are not wanted.
    pub fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.colours || colour == Colour::Plain || text.is_empty() {
            return text.to_owned();
        }
        format!("{}{text}\x1b[0m", colour.code())
    }
}

/// A view that is drawn again and again over itself.
#[derive(Debug, Default)]
pub struct Screen {
    drawn: bool,
}

impl Screen {
    /// Draws `text` over what was drawn before: line by line, each cleared behind its end, so that
    /// nothing flickers. Lines beyond the terminal's height are left out.
    pub fn draw(&mut self, text: &str, terminal: &Terminal) -> io::Result<()> {
        let mut frame = String::with_capacity(text.len() + 256);
        // hide the cursor, go home; the first time with the screen cleared
        frame.push_str(if self.drawn {
            "\x1b[H"
        } else {
            "\x1b[?25l\x1b[2J\x1b[H"
        });
        self.drawn = true;
        for (index, line) in text.lines().take(terminal.height.max(2) - 1).enumerate() {
            if index > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }

    /// Shows the cursor again, below what was drawn.
    pub fn leave(&mut self) -> io::Result<()> {
        if !self.drawn {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(b"\x1b[?25h\r\n")?;
        out.flush()
    }
}

/// The whole screen for ourselves, with keys as they are typed, until this is dropped: then all is as it was.
#[derive(Debug)]
pub struct Undisturbed {
    /// How the terminal took keys before, where there is one.
    before: Option<Termios>,
}

impl Undisturbed {
    /// Goes to the terminal's other screen. Ctrl-C goes on being a signal; Ctrl-Z means nothing meanwhile.
    ///
    /// # Errors
    /// The terminal does not let itself be set.
    pub fn begin() -> io::Result<Undisturbed> {
        let stdin = io::stdin();
        let before = match stdin.is_terminal() {
            true => Some(tcgetattr(&stdin)?),
            false => None,
        };
        if let Some(before) = &before {
            let mut ours = before.clone();
            ours.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            // _POSIX_VDISABLE of Linux
            ours.special_codes[SpecialCodeIndex::VSUSP] = 0;
            tcsetattr(&stdin, OptionalActions::Now, &ours)?;
        }
        let undisturbed = Undisturbed { before };
        let mut out = io::stdout().lock();
        out.write_all(b"\x1b[?1049h")?;
        out.flush()?;
        Ok(undisturbed)
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        // where the terminal has gone there is nothing to put right
        let mut out = io::stdout().lock();
        drop(
            out.write_all(b"\x1b[?1049l\x1b[?25h")
                .and_then(|()| out.flush()),
        );
        if let Some(before) = &self.before {
            let _put_right = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_wanted() {
        assert_eq!(Terminal::NONE.paint(Colour::Bad, "x"), "x");
        let colourful = Terminal {
            colours: true,
            ..Terminal::NONE
        };
        assert_eq!(colourful.paint(Colour::Bad, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(colourful.paint(Colour::Plain, "x"), "x");
    }
}
