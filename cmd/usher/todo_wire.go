package main

import (
	"context"
	"errors"
)

var errNotWired = errors.New("cannot run: this part is not wired into this build")

func (a *app) runAudit(context.Context, auditOptions) ([]auditLine, error) { return nil, errNotWired }

func (s *station) audit(context.Context) (demoAudit, error) { return demoAudit{}, nil }
