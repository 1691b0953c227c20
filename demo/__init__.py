"""The one place that knows both product and sandbox: ./run demo and ./run down."""
