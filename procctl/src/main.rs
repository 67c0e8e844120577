//! The program: everything it does lives in the library beside it.

fn main() -> std::process::ExitCode {
    procctl::cli::main()
}
