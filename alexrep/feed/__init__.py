"""From shards to batches on a device: order, draws, batches, augmentation, patches."""
