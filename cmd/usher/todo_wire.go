package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/schema"
)

var errNotWired = errors.New("cannot run: this part is not wired into this build")

func serveBroker(context.Context, *app, string, string) error { return errNotWired }

func (a *app) runAudit(context.Context, auditOptions) ([]auditLine, error) { return nil, errNotWired }

func printSchema(w io.Writer, _ *config.Config) error {
	for _, t := range schema.Tables() {
		fmt.Fprintf(w, "%s;\n\n", t.CreateTable())
	}
	return nil
}

func applySchema(ctx context.Context, s *store, _ *config.Config) ([]string, error) {
	var done []string
	for _, t := range schema.Tables() {
		if err := s.exec(ctx, t.CreateTable()); err != nil {
			return done, err
		}
		done = append(done, "table "+t.Name)
	}
	return done, nil
}
