"""Training on several devices or machines: the replicas, their share of each batch, local processes, Keras' `fit`."""
