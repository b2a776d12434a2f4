//! The exit table: what every exit said about every sample of a validation set.

/// Per sample: confidence and prediction at each exit, and the label.
#[derive(Debug, Clone, PartialEq)]
pub struct ExitTable {
    exits: usize,
    confidence: Vec<f32>,
    prediction: Vec<u16>,
    label: Vec<u16>,
}

/// Why arrays are no exit table.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExitTableError {
    /// Lengths that do not fit together.
    #[error("{labels} labels and {exits} exits need {want} values in {array}, not {given}", want = labels * exits)]
    Length {
        /// Which array.
        array: &'static str,
        /// Samples.
        labels: usize,
        /// Exits.
        exits: usize,
        /// Length found.
        given: usize,
    },
    /// A confidence outside [0, 1].
    #[error("confidence of sample {sample} at exit {exit} must be between 0 and 1, not {value}")]
    Confidence {
        /// Row, from 0.
        sample: usize,
        /// Column, from 0.
        exit: usize,
        /// What was found.
        value: f32,
    },
    /// No rows or no exits.
    #[error("the table is empty")]
    Empty,
}

impl ExitTable {
    /// Takes row-major arrays of N × L confidences and predictions, and N labels.
    pub fn new(
        exits: usize,
        confidence: Vec<f32>,
        prediction: Vec<u16>,
        label: Vec<u16>,
    ) -> Result<Self, ExitTableError> {
        if exits == 0 || label.is_empty() {
            return Err(ExitTableError::Empty);
        }
        for (array, given) in [("confidence", confidence.len()), ("prediction", prediction.len())] {
            if given != label.len() * exits {
                return Err(ExitTableError::Length { array, labels: label.len(), exits, given });
            }
        }
        if let Some(bad) = confidence.iter().position(|value| !(0.0..=1.0).contains(value)) {
            return Err(ExitTableError::Confidence { sample: bad / exits, exit: bad % exits, value: confidence[bad] });
        }
        Ok(Self { exits, confidence, prediction, label })
    }

    /// Number of exits L.
    pub fn exits(&self) -> usize {
        self.exits
    }

    /// Number of samples N.
    pub fn samples(&self) -> usize {
        self.label.len()
    }

    /// Confidence of a sample at an exit.
    pub fn confidence(&self, sample: usize, exit: usize) -> f32 {
        self.confidence[sample * self.exits + exit]
    }

    /// Class that an exit gives a sample.
    pub fn prediction(&self, sample: usize, exit: usize) -> u16 {
        self.prediction[sample * self.exits + exit]
    }

    /// Label of a sample.
    pub fn label(&self, sample: usize) -> u16 {
        self.label[sample]
    }

    /// Whether an exit is right about a sample.
    pub fn correct(&self, sample: usize, exit: usize) -> bool {
        self.prediction(sample, exit) == self.label[sample]
    }

    /// Share of samples that an exit is right about.
    pub fn accuracy(&self, exit: usize) -> f64 {
        let right = (0..self.samples()).filter(|&sample| self.correct(sample, exit)).count();
        right as f64 / self.samples() as f64
    }

    /// Two tables of every other row, the first one with the longer half: one to choose by, one to judge the choice.
    /// `None` for a table of one row.
    pub fn halves(&self) -> Option<(Self, Self)> {
        (self.samples() > 1)
            .then(|| (self.rows((0..self.samples()).step_by(2)), self.rows((1..self.samples()).step_by(2))))
    }

    /// A table in which rows stand as often as their weights (at least one above 0) say, to one row: the same number of
    /// rows, taken at even steps of the sum of weights.
    pub fn reweighted(&self, weights: &[f64]) -> Self {
        let (samples, total) = (self.samples(), weights.iter().sum::<f64>());
        let (mut row, mut sum) = (0, weights[0]);
        let row_at = |place: usize| {
            let wanted = (place as f64 + 0.5) * total / samples as f64;
            while sum < wanted && row + 1 < samples {
                row += 1;
                sum += weights[row];
            }
            row
        };
        let rows: Vec<usize> = (0..samples).map(row_at).collect();
        self.rows(rows.into_iter())
    }

    fn rows(&self, rows: impl Iterator<Item = usize> + Clone) -> Self {
        let wide = |row: usize| row * self.exits..(row + 1) * self.exits;
        Self {
            exits: self.exits,
            confidence: rows.clone().flat_map(|row| self.confidence[wide(row)].iter().copied()).collect(),
            prediction: rows.clone().flat_map(|row| self.prediction[wide(row)].iter().copied()).collect(),
            label: rows.map(|row| self.label[row]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_counts_right_rows() {
        let table = ExitTable::new(2, vec![0.5; 4], vec![0, 1, 1, 1], vec![1, 1]).unwrap();
        assert_eq!((table.accuracy(0), table.accuracy(1)), (0.5, 1.0));
    }

    #[test]
    fn halves_take_every_other_row() {
        let table = ExitTable::new(1, vec![0.1, 0.2, 0.3], vec![1, 2, 3], vec![1, 2, 4]).unwrap();
        let (choose, judge) = table.halves().unwrap();
        assert_eq!(choose, ExitTable::new(1, vec![0.1, 0.3], vec![1, 3], vec![1, 4]).unwrap());
        assert_eq!(judge, ExitTable::new(1, vec![0.2], vec![2], vec![2]).unwrap());
        assert!(judge.halves().is_none());
    }

    #[test]
    fn rows_stand_as_often_as_they_weigh() {
        let table = ExitTable::new(1, vec![0.1, 0.2, 0.3, 0.4], vec![0; 4], vec![0, 1, 2, 3]).unwrap();
        let labels = |weights: &[f64]| table.reweighted(weights).label;
        assert_eq!(labels(&[1.0; 4]), [0, 1, 2, 3]);
        assert_eq!(labels(&[0.0, 3.0, 0.0, 1.0]), [1, 1, 1, 3]);
        assert_eq!(labels(&[0.0, 0.0, 0.0, 1e-9]), [3; 4]);
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        assert!(matches!(
            ExitTable::new(2, vec![0.5; 3], vec![0; 4], vec![0; 2]),
            Err(ExitTableError::Length { array: "confidence", .. })
        ));
        assert!(matches!(
            ExitTable::new(1, vec![1.5], vec![0], vec![0]),
            Err(ExitTableError::Confidence { value: 1.5, .. })
        ));
        assert_eq!(ExitTable::new(0, vec![], vec![], vec![]), Err(ExitTableError::Empty));
    }
}
