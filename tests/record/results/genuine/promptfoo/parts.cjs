// A script that gives named scores of its own, and cannot be run for one answer.
module.exports = (output) => {
  if (output === 'THROW') {
    throw new Error('the script broke');
  }
  const long = output.length > 3;
  return { pass: true, score: 1, reason: 'parts', namedScores: { long: long ? 1 : 0, script: 0.5 } };
};
