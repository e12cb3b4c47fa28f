package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

type schemaOptions struct {
	print, apply bool
	data         string
}

func (a *app) schemaCommand() *cobra.Command {
	o := schemaOptions{}
	c := &cobra.Command{
		Use:   "schema --print|--apply",
		Short: "Print or apply the ClickHouse schema and its migrations",
		Long: `Print every statement of the schema, or bring the configured ClickHouse (or the embedded store of
a data directory) to this version: what is missing is made, what is there is migrated, views are
replaced. Applying twice changes nothing.`,
		Example: `  usher schema --print > schema.sql
  usher schema --apply
  usher schema --apply --data ./usher-data`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if o.print == o.apply {
				return usagef("say either --print or --apply")
			}
			return a.schema(cmd.Context(), o)
		}),
	}
	c.Flags().BoolVar(&o.print, "print", false, "print the statements")
	c.Flags().BoolVar(&o.apply, "apply", false, "bring the store to this version")
	c.Flags().StringVar(&o.data, "data", "", "with --apply: data `directory` of an embedded store")
	return c
}

func (a *app) schema(ctx context.Context, o schemaOptions) error {
	if o.print {
		return printSchema(a.out, a.cfg)
	}
	s, closeStore, err := a.openStore(ctx, o.data)
	if err != nil {
		return err
	}
	defer closeStore()
	if _, err := s.ping(ctx, reachTimeout); err != nil {
		return err
	}
	done, err := applySchema(ctx, s.at(), a.cfg)
	if err != nil {
		return fmt.Errorf("cannot apply the schema to %s: %w", s.where, err)
	}
	for _, line := range done {
		fmt.Fprintln(a.out, line)
	}
	return nil
}
