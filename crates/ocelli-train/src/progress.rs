//! A progress bar on the terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::trainer::{Numbers, Watch};

/// Shows a training's progress on standard error, with the time that is left; silent where that is no terminal, but
/// for a line an evaluation.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    headline: &'static str,
}

impl Bar {
    /// A bar whose evaluation lines show the number called `headline` first.
    pub fn new(headline: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
        let style = "{bar:30.cyan/dim} {pos}/{len} steps  {elapsed_precise} elapsed, {eta} left  {msg}";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, headline }
    }

    /// Says something above the bar.
    pub fn say(&self, text: &str) {
        if self.bar.is_hidden() {
            // Not a terminal: a line in a log.
            anstream_line(text);
        } else {
            self.bar.println(text);
        }
    }
}

#[allow(clippy::print_stderr)]
fn anstream_line(text: &str) {
    eprintln!("{text}");
}

impl Watch for Bar {
    fn started(&mut self, step: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(step);
        self.bar.reset_eta();
        if step > 0 {
            self.say(&format!("resumed at step {step} of {total}"));
        }
    }

    fn stepped(&mut self, step: u64, epoch: usize, loss: f64) {
        self.bar.set_position(step);
        self.bar.set_message(format!("epoch {}  loss {loss:.3}", epoch + 1));
    }

    fn evaluated(&mut self, epoch: usize, numbers: &Numbers) {
        let headline = numbers.iter().filter(|(name, _)| *name == self.headline);
        let others = numbers.iter().filter(|(name, _)| *name != self.headline);
        let text: Vec<String> =
            headline.chain(others).map(|(name, value)| format!("{name} {value:.4}")).collect();
        self.say(&format!("epoch {epoch}: {}", text.join(", ")));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
