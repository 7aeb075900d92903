// Package admin is what the gateway tells about itself: the local API on a Unix socket in the data directory (Server),
// the client of it that the verbs use (Client), metrics for Prometheus, and health. docs/api.md describes it for people.
package admin
