//! Measures every figure beside its baseline, prints the table, and fails when one falls short.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let report = pipe_bench::figures::all().await;
    print!("{report}");
    report.exit_code()
}
