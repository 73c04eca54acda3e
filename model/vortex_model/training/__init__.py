"""Learning from measured sections: samples, basis, model, reliability, prediction."""
