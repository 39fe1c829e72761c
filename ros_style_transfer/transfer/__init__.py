"""Pictures through a model: whitening, colouring and kin, region by region, tile by tile."""
