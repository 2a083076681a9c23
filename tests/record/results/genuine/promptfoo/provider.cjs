// Answers what the test's variables say; ERROR is a provider that fails.
module.exports = class {
  constructor(options) {
    this.side = options.config.side;
  }
  id() {
    return `scripted:${this.side}`;
  }
  async callApi(prompt, context) {
    const output = context.vars[this.side];
    return output === 'ERROR' ? { error: 'API error: 500' } : { output };
  }
};
