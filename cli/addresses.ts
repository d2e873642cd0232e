// Where a service of this machine is, as `npm start` starts it: at `PORT`, or else at 8080.

import process from 'node:process';

export const localAddress = `http://localhost:${process.env.PORT || 8080}`;
