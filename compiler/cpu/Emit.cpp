#include "compiler/cpu/Emit.h"

#include "compiler/cpu/Emitter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <algorithm>

using namespace mlir;

namespace lathe::cpu {

Emitter::Emitter(const Emission& emission, Code& code, Value frame)
    : emission(emission), code(code), frame(frame), definitionOf(definitions(*emission.program)) {
  findUsers();
  allocate();
}

int Emitter::declarationOf(int value) const {
  const reference::Instruction& instruction = definition(value);
  const auto kind = instruction.kind == Kind::input      ? Declared::input
                    : instruction.kind == Kind::param    ? Declared::param
                    : instruction.kind == Kind::constant ? Declared::constant
                                                         : Declared::state;
  return findDeclaration(*emission.program, kind, instruction.name);
}

void Emitter::findUsers() {
  users.resize(emission.program->values.size());
  for (const reference::Instruction& instruction : emission.program->instructions)
    if (emission.schedule->needed[instruction.results[0]])
      for (int arg : instruction.args)
        users[arg].push_back(instruction.results[0]);
  for (const auto* some : {&emission.schedule->outputs, &emission.schedule->updates})
    for (int declaration : *some)
      users[declared(declaration).value].push_back(-1);
}

void Emitter::allocate() {
  bufferOf.assign(emission.program->values.size(), -1);
  const auto add = [&](int value) {
    if (bufferOf[value] >= 0)
      return;
    bufferOf[value] = scratchCount;
    // Features are written and read by whole vectors from any element on.
    scratchCount += Layout(dims(value), emission.memory->sizes, code.lanes).count + code.lanes;
  };
  for (const reference::Instruction& instruction : emission.program->instructions) {
    const int value = instruction.results[0];
    if (emission.schedule->needed[value] && !dims(value).empty() &&
        !emission.schedule->isInline[value] && instruction.kind != Kind::state)
      add(value);
  }
  long rows = 0;
  for (const auto* steps : {&emission.schedule->head, &emission.schedule->token})
    for (const Step& step : *steps) {
      if (step.kind != Step::Kind::pass)
        continue;
      for (int value : step.pass.fills)
        add(value);
      rows = std::max(rows, partialOffset(step.pass, step.pass.reductions.size()));
    }
  partials = scratchCount;
  scratchCount += rows;
}

void Emitter::run() {
  scratch = code.word(frame, Frame::scratch, code.pointer);
  for (std::size_t i = 0; i < emission.program->declarations.size(); ++i)
    if (declared(static_cast<int>(i)).kind == Declared::param)
      tensorAt[static_cast<int>(i)] =
          code.word(frame, emission.memory->frame.tensors[i], code.pointer);
  for (const Step& step : emission.schedule->head)
    emit(step);
  const Value count = code.word(frame, Frame::count, code.getI64Type());
  code.loop(code.integer(0), count, {}, [&](Value turn, const Values&) {
    beginToken(turn);
    for (const Step& step : emission.schedule->token)
      emit(step);
    return Values();
  });
}

void Emitter::beginToken(Value turn) {
  const Value first = code.word(frame, Frame::first, code.getI64Type());
  token = emission.schedule->reverse ? code.create<arith::SubIOp>(first, turn).getResult()
                                     : code.add(first, turn);
  for (const reference::Instruction& instruction : emission.program->instructions)
    if (instruction.kind == Kind::input && emission.schedule->needed[instruction.results[0]])
      bindTensor(declarationOf(instruction.results[0]), token);
  for (int output : emission.schedule->outputs)
    bindTensor(output, token);

  const auto bindStates = [&](const std::vector<int>& states, bool areNew) {
    for (int state : states) {
      const int sweep = emission.memory->sweepOf(state);
      const int word = Frame::blocks + 2 * sweep;
      const Value advance = code.word(frame, word + 1, code.getI64Type());
      const Value old =
          code.byteAddress(code.word(frame, word, code.pointer), code.multiply(turn, advance));
      const Value offset = code.integer(emission.memory->blocks[sweep].offsets.at(state));
      oldStates[state] = code.address(old, offset);
      if (areNew)
        newStates[state] = code.address(code.byteAddress(old, advance), offset);
    }
  };
  bindStates(emission.schedule->reads, false);
  bindStates(emission.schedule->updates, true);
  for (const reference::Instruction& instruction : emission.program->instructions) {
    const int value = instruction.results[0];
    if (instruction.kind == Kind::state && emission.schedule->needed[value] && dims(value).empty())
      scalars[value] = code.load(oldStates.at(declarationOf(value)), code.getF32Type());
  }
}

void Emitter::bindTensor(int declaration, Value token) {
  const int word = emission.memory->frame.tensors[declaration];
  const Value stride = code.word(frame, word + 1, code.getI64Type());
  tensorAt[declaration] =
      code.byteAddress(code.word(frame, word, code.pointer), code.multiply(token, stride));
}

void Emitter::emit(const Step& step) {
  switch (step.kind) {
  case Step::Kind::pass:
    return emitPass(step.pass);
  case Step::Kind::loop:
    return step.loop.dim.empty() ? emitScalars(step.loop) : emitLoop(step.loop);
  case Step::Kind::feature:
    return emitFeature(step.copy.value);
  case Step::Kind::load:
    return emitCopy(step.copy, false);
  case Step::Kind::store:
    return emitCopy(step.copy, true);
  }
}

long emitFunction(const Emission& emission, ModuleOp module) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  const Location loc = UnknownLoc::get(module.getContext());
  const auto pointer = LLVM::LLVMPointerType::get(module.getContext());
  auto function = builder.create<func::FuncOp>(
      loc, emission.name, builder.getFunctionType(TypeRange(pointer), TypeRange()));
  Block* entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  Code code(loc, builder, emission.memory->lanes);
  Emitter emitter(emission, code, entry->getArgument(0));
  emitter.run();
  code.create<func::ReturnOp>();
  return emitter.scratchBytes();
}

}  // namespace lathe::cpu
