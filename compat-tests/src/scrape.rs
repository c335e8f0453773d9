//! What a process shows on its admin address, as numbers.

use crate::raw::Request;

/// The metrics of a process at one moment.
#[derive(Debug)]
pub struct Scrape {
    text: String,
}

impl Scrape {
    /// Asks the admin address of a process.
    ///
    /// # Panics
    /// When it doesn't answer.
    pub async fn of(admin_address: &str) -> Self {
        let answer = Request::get("/metrics").unsigned(admin_address).send(admin_address).await;
        Self { text: answer.expect_status(200).text() }
    }

    /// The sum of a metric's series that have all of these labels, each as `name="value"`; 0 when
    /// there is none yet.
    pub fn sum(&self, metric: &str, labels: &[&str]) -> f64 {
        let values = self.text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, own) = series.split_once('{').unwrap_or((series, ""));
            let is_meant = name == metric && labels.iter().all(|label| own.contains(label));
            is_meant.then(|| value.parse::<f64>().expect("a number"))
        });
        values.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Scrape;

    #[test]
    fn sums_the_series_with_all_labels() {
        let text = "# TYPE calls counter\ncalls{node=\"1\",op=\"get\"} 2\n\
            calls{node=\"2\",op=\"get\"} 3\ncalls_more{node=\"1\"} 9\nup 1\n";
        let scrape = Scrape { text: text.to_owned() };
        assert_eq!(scrape.sum("calls", &[]) as u64, 5);
        assert_eq!(scrape.sum("calls", &["node=\"1\"", "op=\"get\""]) as u64, 2);
        assert_eq!((scrape.sum("up", &[]) as u64, scrape.sum("down", &[]) as u64), (1, 0));
    }
}
