//! An exponential moving average of weights over the course of training.

use burn::tensor::Tensor;
use ocelli_method::Array;
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::{Role, Store};

/// The average of all parameters of some stores: `average <- decay · average + (1 - decay) · value` after each step.
///
/// Running statistics are not averaged; the average takes the current ones.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    stores: Vec<Store>,
    values: Vec<(String, Tensor<1>)>,
}

impl Average {
    /// Starts from the current values.
    pub fn new(decay: f64, stores: Vec<Store>) -> Self {
        let mut average = Self { decay, stores, values: Vec::new() };
        average.values = average.current();
        average
    }

    fn current(&self) -> Vec<(String, Tensor<1>)> {
        let entries = self.stores.iter().flat_map(Store::entries);
        entries.filter(|e| e.role() != Role::Buffer).map(|e| (e.key(), e.plain())).collect()
    }

    /// Takes in the values after a step.
    pub fn update(&mut self) {
        let current = self.current();
        for ((_, average), (_, value)) in self.values.iter_mut().zip(current) {
            *average = average.clone().mul_scalar(self.decay).add(value.mul_scalar(1.0 - self.decay));
        }
    }

    /// Exchanges the averages with the values in the stores; a second call puts everything back.
    pub fn swap(&mut self) {
        let entries = self.stores.iter().flat_map(Store::entries).filter(|e| e.role() != Role::Buffer);
        for (entry, (_, average)) in entries.zip(&mut self.values) {
            let value = entry.plain();
            entry.set(std::mem::replace(average, value));
        }
    }

    /// The averages as arrays by key, for a checkpoint.
    pub fn state(&self) -> Vec<(String, Array)> {
        self.values.iter().map(|(k, t)| (k.clone(), Array::vector(values(t.clone())))).collect()
    }

    /// Restores what [`Average::state`] gave; keys that are not averaged here are passed over.
    pub fn load(&mut self, state: &[(String, Array)]) {
        for (key, value) in &mut self.values {
            if let Some((_, array)) = state.iter().find(|(k, a)| k == key && a.len() == value.dims()[0]) {
                *value = from_values(array.to_f32(), [array.len()], &value.device());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::Init;

    #[test]
    fn average_follows_and_swaps() {
        let store = Store::labelled(&ocelli_nn::device("cpu").unwrap(), 0, "net");
        let w = store.root().param("w", &[1], Init::Zeros, Role::Kernel);
        let now = || w.entry().to_array().to_f32()[0];
        let mut average = Average::new(0.75, vec![store.clone()]);
        w.entry().set(w.entry().plain().add_scalar(1.0));
        average.update();
        average.swap();
        assert_eq!(now(), 0.25);
        average.swap();
        assert_eq!(now(), 1.0);
        let saved = average.state();
        average.update();
        average.load(&saved);
        assert_eq!(average.state(), saved);
    }
}
