// One function while it is emitted: where its values are, and the code of each kind of step.
#pragma once

#include "compiler/cpu/Code.h"
#include "compiler/cpu/Emit.h"

#include <map>

namespace lathe::cpu {

class Emitter {
public:
  Emitter(const Emission& emission, Code& code, mlir::Value frame);

  void run();
  long scratchBytes() const { return 4 * scratchCount; }

private:
  using Kind = reference::Instruction::Kind;
  using Declared = reference::Declaration::Kind;
  using Values = Code::Values;

  /// The element of a pass, or of a loop over one dimension, at which expressions are evaluated.
  struct Element {
    std::map<std::string, mlir::Value> index;  ///< Of every dimension but that of vectors.
    std::string column;                        ///< The dimension of vectors.
    std::vector<mlir::Value> starts;           ///< The first index along it, of each vector.
    std::map<int, mlir::Value> scalars;        ///< Values without that dimension, once known ...
    std::map<std::pair<int, int>, mlir::Value> vectors;  ///< ... and with it, for each vector.
  };

  const reference::Instruction& definition(int value) const {
    return emission.program->instructions[definitionOf[value]];
  }
  const reference::Declaration& declared(int index) const {
    return emission.program->declarations[index];
  }
  const Dims& dims(int value) const { return emission.schedule->dims[value]; }
  int declarationOf(int value) const;

  void allocate();
  void findUsers();
  void beginToken(mlir::Value turn);
  void bindTensor(int declaration, mlir::Value token);
  void emit(const Step& step);

  // Expressions (EmitValue.cpp).
  mlir::Value apply(const reference::Instruction& instruction, llvm::ArrayRef<mlir::Value> args);
  Layout layoutOf(int value) const;
  mlir::Value baseOf(int value);
  mlir::Value addressOf(int value, const Element& at, int vector);
  mlir::Value scalar(int value, Element& at);
  mlir::Value vector(int value, Element& at, int vector);
  mlir::Value term(const reference::Instruction& reduction, Element& at, int vector);
  mlir::Value accumulate(mlir::Value sum, mlir::Value term, bool isMax);
  mlir::Value identity(bool isMax);

  // Loops over at most one dimension, and copies (EmitLoop.cpp).
  void emitLoop(const Loop& loop);
  void emitScalars(const Loop& loop);
  Values emitBlock(const Loop& loop, mlir::Value start, int count, const Values& sums);
  mlir::Value loadTensor(int value, mlir::Value start, int count);
  void emitCopy(const Copy& copy, bool isStore);

  // What mixes the elements of a vector (EmitFeature.cpp).
  void emitFeature(int value);
  void emitRotate(const reference::Instruction& instruction);
  void emitTaylor(const reference::Instruction& instruction);
  void emitTaylorAdjoint(const reference::Instruction& instruction);
  using Body = std::function<void(mlir::Value)>;
  void forEach(long begin, long end, long step, const Body& body);

  // Passes over several dimensions (EmitPass.cpp).
  void emitPass(const Pass& pass);
  void emitColumns(const Pass& pass, Element& outer);
  void emitColumnBlock(const Pass& pass, Element outer, mlir::Value start, int vectors, int tail);
  void emitRow(const Pass& pass, Element& at, int tail, const Values& sums, Values& next);
  void emitStores(const Pass& pass, Element& at);
  void finishRowSums(const Pass& pass, Element& outer);
  void preload(int value, Element& at);
  long partialOffset(const Pass& pass, std::size_t reduction) const;

  const Emission& emission;
  Code& code;
  mlir::Value frame, scratch, token;
  std::vector<int> definitionOf;
  std::vector<std::vector<int>> users;  ///< Values that need each value; -1 for a declaration.
  std::vector<long> bufferOf;           ///< In elements of scratch memory; -1: none.
  long partials = 0;                    ///< Where the sums of rows begin.
  long scratchCount = 0;
  std::map<int, mlir::Value> scalars;   ///< Of dimensionless values.
  std::map<int, mlir::Value> tensorAt;  ///< Of each declaration: its pointer at this token.
  std::map<int, mlir::Value> oldStates, newStates;  ///< Pointers.
};

}  // namespace lathe::cpu
