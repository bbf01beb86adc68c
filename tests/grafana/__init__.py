"""What Grafana says that a dashboard is: the types that its makers publish, for TypeScript's compiler."""
