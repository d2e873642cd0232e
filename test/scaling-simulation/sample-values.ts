// Values for tests of the scaling simulation.

export const goodValues = {
  pools: {
    cpu: { pricePerHour: 0.2, workersPerNode: 2, startSeconds: 100, nodesMin: 1, nodesMax: 4 },
  },
  models: {
    small: {
      device: 'cpu',
      batchMs: { 1: 10, 8: 80 },
      startSeconds: 2,
      scaling: { max: 6, itemsPerWorker: 8, coolDownSeconds: 60 },
    },
  },
  scenarios: { only: { model: 'small', load: { shape: 'burst', perSecond: 50 } } },
};
