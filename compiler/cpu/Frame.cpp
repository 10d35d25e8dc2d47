#include "compiler/cpu/Frame.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cpu {

using reference::Declaration;
using reference::Program;

Layout::Layout(const Dims& dims, const Sizes& all, int lanes) : dims(dims) {
  strides.resize(dims.size());
  for (const std::string& dim : dims)
    sizes.push_back(all.at(dim));
  for (std::size_t i = dims.size(); i-- > 0;) {
    strides[i] = count;
    count *= sizes[i];
    if (i + 1 == dims.size())
      count = (count + lanes - 1) / lanes * lanes;
  }
  count = (count + lanes - 1) / lanes * lanes;
}

long Layout::strideOf(const std::string& dim) const {
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (dims[i] == dim)
      return strides[i];
  return 0;
}

Frame::Frame(const Program& program, std::size_t sweeps) {
  words = blocks + 2 * static_cast<int>(sweeps);
  for (const Declaration& declaration : program.declarations) {
    const bool isState = declaration.kind == Declaration::Kind::state;
    tensors.push_back(isState ? -1 : words);
    if (declaration.kind == Declaration::Kind::constant)
      ++words;
    else if (!isState)
      words += 2 + static_cast<int>(declaration.dims.size());
  }
}

Memory::Memory(const Program& program, Sizes slice, Sizes full, int lanes)
    : lanes(lanes), sizes(std::move(slice)), fullSizes(std::move(full)),
      order(memoryOrder(program)), sweeps(sweepsOf(program)), frame(program, sweeps.size()) {
  for (const Sweep& sweep : sweeps) {
    StateBlock& block = blocks.emplace_back();
    for (int state : sweep.updates) {
      const Layout layout(ordered(program.declarations[state].dims), sizes, lanes);
      block.offsets[state] = block.count;
      block.count += layout.count;
      block.layouts[state] = layout;
    }
  }
}

Dims Memory::ordered(const Dims& dims) const {
  Dims sorted;
  for (const std::string& dim : order)
    if (std::find(dims.begin(), dims.end(), dim) != dims.end())
      sorted.push_back(dim);
  return sorted;
}

int Memory::sweepOf(int state) const {
  for (std::size_t i = 0; i < blocks.size(); ++i)
    if (blocks[i].offsets.contains(state))
      return static_cast<int>(i);
  throw std::logic_error("a state that no sweep carries");
}

}  // namespace lathe::cpu
