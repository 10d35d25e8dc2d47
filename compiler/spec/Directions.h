// The rules of the directions in which states go through a sequence.
#pragma once

#include "compiler/spec/Scope.h"

namespace lathe::spec {

/// The states that an expression reads, itself or through lets.
Sources sourcesOf(const Expr& expr, Scope& scope);

/// An update reads states of the direction of its own state only.
void checkDirection(const Statement& update, const Symbol& state, Scope& scope,
                    Diagnostics& diagnostics);

/// In `direction both` a state has no direction of its own, and the name of its reverse is free.
void checkReverseOf(const Statement& state, Scope& scope, Diagnostics& diagnostics);

/// In `direction both` an update is linear in the states, which it reads by their names.
void checkLinear(const Statement& update, Scope& scope, Diagnostics& diagnostics);

}  // namespace lathe::spec
