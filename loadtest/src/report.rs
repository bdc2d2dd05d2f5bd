//! What was measured, as a table for people or lines of JSON for programs.

/// How figures are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// One object a line.
    Json,
}

/// One figure.
#[derive(Debug)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// How much.
    pub(crate) value: f64,
    /// Of what: `/s`, `/s a core`, `bytes`.
    pub(crate) unit: &'static str,
    /// How many times what the plain server did in the same run.
    pub(crate) ratio: Option<f64>,
    /// What is to be reached; for bytes, milliseconds and percents, not to be passed.
    pub(crate) target: Option<f64>,
}

impl Figure {
    /// A figure that stands for itself.
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, ratio: None, target: None }
    }
    /// Beside what the plain server did.
    #[must_use]
    pub(crate) fn beside(self, plain: f64) -> Self {
        Self { ratio: Some(self.value / plain), ..self }
    }
    /// With what is to be reached.
    #[must_use]
    pub(crate) fn target(self, target: f64) -> Self {
        Self { target: Some(target), ..self }
    }
    fn met(&self) -> Option<bool> {
        self.target.map(|target| if matches!(self.unit, "bytes" | "ms" | "%") { self.value <= target } else { self.value >= target })
    }
}

/// Prints figures as they come.
pub(crate) struct Report {
    form: Form,
    missed: usize,
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new(form: Form) -> Self {
        if form == Form::Table {
            println!("{:<66} {:>12} {:<10} {:>8} {:>11}", "", "measured", "", "× plain", "target");
        }
        Self { form, missed: 0 }
    }
    /// A benchmark begins.
    pub(crate) fn begin(&self, name: &str) {
        if self.form == Form::Table {
            println!("{name}");
        }
    }
    /// Takes a figure.
    pub(crate) fn figure(&mut self, figure: &Figure) {
        let Figure { what, value, unit, ratio, target } = figure;
        let met = figure.met();
        self.missed += usize::from(met == Some(false));
        if self.form == Form::Json {
            println!("{}", serde_json::json!({ "what": what, "value": value, "unit": unit, "ratio": ratio, "target": target, "met": met }));
            return;
        }
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let target = target.map_or(String::new(), thousands);
        let mark = met.map_or("", |met| if met { "met" } else { "missed" });
        println!("{:<66} {:>12} {unit:<10} {ratio:>8} {target:>11} {mark}", format!("  {what}"), thousands(*value));
    }
    /// The end.
    pub(crate) fn end(&self) {
        if self.form == Form::Table {
            println!("{} missed", self.missed);
        }
    }
}

/// A number as people read it: in groups of three digits.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}
