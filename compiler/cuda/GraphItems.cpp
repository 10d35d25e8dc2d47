#include "compiler/cuda/GraphItems.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {

using Kind = Node::Kind;

static std::set<std::string> setOf(const Dims& dims) { return {dims.begin(), dims.end()}; }

Items::Items(const Graph& graph, const GraphSweep& sweep, const std::string& columns)
    : graph(graph), sweep(sweep), spread(columns) {
  findNeeded();
  findRows();
  findColumns();
  addItems();
  for (Item& item : items)
    findNeeds(item);
  // Parts are put together token by token only where a state waits for it.
  for (int i = 0; i < int(items.size()); ++i)
    if (items[i].what == Item::What::whole) {
      items[i - 1].ofAll = items[i].ofAll = !isCarried(i);
      if (!items[i].ofAll)
        items[i - 1].needs.push_back({i, false, true});
    }
}

/// Whether the parts of a whole depend on it, by way of a state.
bool Items::isCarried(int whole) const {
  std::vector<int> work = {whole};
  std::set<int> reached;
  while (!work.empty()) {
    const int from = work.back();
    work.pop_back();
    for (int to = 0; to < int(items.size()); ++to) {
      bool needs = false;
      for (const Item::Need& need : items[to].needs)
        needs |= need.item == from;
      for (int state : items[to].touches)
        needs |= items[from].what == Item::What::state && items[from].operand == state;
      for (int state : items[from].touches)
        needs |= items[to].what == Item::What::state && items[to].operand == state;
      if (needs && reached.insert(to).second)
        work.push_back(to);
    }
  }
  return reached.count(whole - 1) > 0;
}

void Items::findNeeded() {
  std::vector<int> work(sweep.kept.begin(), sweep.kept.end());
  for (int state : sweep.states)
    work.push_back(graph.carried.at(state));
  for (int output : sweep.outputs)
    work.push_back(graph.outputs.at(output));
  while (!work.empty()) {
    int value = work.back();
    work.pop_back();
    if (needed.insert(value).second && !sweep.given.count(value))
      for (int arg : graph.values[value].args)
        work.push_back(arg);
  }
}

/// Whether a value that only this user reads is best computed where the user is.
bool Items::isSimple(int user, int value) const {
  return graph.values[user].isMap() && graph.values[user].dims == graph.values[value].dims;
}

void Items::findRows() {
  std::map<int, int> users;
  std::set<int> shared;
  auto use = [&](int value, bool simple) {
    if (++users[value] > 1 || !simple)
      shared.insert(value);
  };
  for (int user : needed)
    if (!sweep.given.count(user))
      for (int arg : graph.values[user].args)
        use(arg, isSimple(user, arg));
  for (int output : sweep.outputs) {
    int value = graph.outputs.at(output);
    use(value, graph.values[value].dims == graph.plan.operands[output].dims);
  }
  for (int value : sweep.kept)
    use(value, true);
  for (int index : needed) {
    const Value& value = graph.values[index];
    if (value.isWide() || graph.isUniform(index) || value.kind == Kind::position ||
        value.kind == Kind::index || (value.kind == Kind::state && !sweep.given.count(index)))
      continue;
    bool isParam = value.kind == Kind::operand &&
                   graph.plan.operands[value.operand].kind == Operand::Kind::param;
    if (value.isReduction() || value.kind == Kind::taylor || graph.carrierOf(index) >= 0 ||
        sweep.given.count(index) || (shared.count(index) && !isParam))
      rows.insert(index);
  }
}

/// The state whose registers have the elements of a wide value of an earlier sweep where that is
/// read, or -1.
int Items::hostOf(int index) const {
  const Value& value = graph.values[index];
  if (value.isWide() && sweep.given.count(index))
    for (int state : sweep.states)
      if (setOf(graph.plan.operands[state].dims) == setOf(value.dims))
        return state;
  return -1;
}

bool Items::touchesState(int index) const {
  const Value& value = graph.values[index];
  if (rows.count(index) || sweep.given.count(index))
    return hostOf(index) >= 0;
  if (value.kind == Kind::state)
    return value.isWide();
  return std::any_of(value.args.begin(), value.args.end(),
                     [&](int arg) { return touchesState(arg); });
}

/// Sums over the steps of a pass stay in a thread or among neighbouring lanes, those over its
/// columns go through shared memory: so the columns are the dimension that is summed over less.
void Items::findColumns() {
  std::map<std::set<std::string>, std::map<std::string, int>> sums;
  for (int state : sweep.states) {
    const Dims& dims = graph.plan.operands[state].dims;
    if (dims.size() > 1)
      columns[setOf(dims)] = dims.back();
  }
  for (int index : needed) {
    const Value& value = graph.values[index];
    if (value.isReduction() && value.space().size() == 2 && !sweep.given.count(index))
      ++sums[setOf(value.space())][value.name];
  }
  for (auto& [dims, column] : columns)
    for (const std::string& dim : dims)
      if (dims.count(spread) ? dim == spread : sums[dims][dim] < sums[dims][column])
        column = dim;
  for (auto& [dims, column] : columns)
    if (auto forced = sweep.columns.find(dims); forced != sweep.columns.end())
      column = forced->second;
}

std::string Items::columnOf(const Dims& space) const {
  auto found = columns.find(setOf(space));
  return found == columns.end() ? "" : found->second;
}

void Items::add(Item item) {
  if (item.how == Item::How::pass) {
    const std::string column = columnOf(item.space);
    if (item.space.size() != 2)
      throw std::invalid_argument(
          "variant '" + graph.plan.variant + "': what is read of a state spans " +
          std::to_string(item.space.size()) + " dimensions; the general form reads two");
    std::erase(item.space, column);
    item.space.push_back(column);
  }
  items.push_back(std::move(item));
}

void Items::addValue(int index) {
  const Value& value = graph.values[index];
  using How = Item::How;
  using What = Item::What;
  if (!value.isReduction() || sweep.given.count(index))
    return add({What::value, How::elements, value.dims, index});
  bool reads =
      std::any_of(value.args.begin(), value.args.end(), [&](int arg) { return touchesState(arg); });
  if (value.space().size() == 1)
    return add({What::value, How::row, value.space(), index});
  if (!reads)
    return add({What::value, How::elements, value.dims, index});
  if (value.name != columnOf(value.space()))
    return add({What::value, How::pass, value.space(), index});
  add({What::partial, How::pass, value.space(), index});
  add({What::whole, How::elements, value.dims, index});
}

void Items::addItems() {
  using How = Item::How;
  using What = Item::What;
  for (int index : needed) {
    int state = graph.carrierOf(index);
    if (rows.count(index))
      addValue(index);
    else if (state >= 0)
      add({What::state, How::pass, graph.values[index].dims, index, state});
  }
  auto howOf = [&](int value) { return touchesState(value) ? How::pass : How::elements; };
  for (int output : sweep.outputs) {
    int value = graph.outputs.at(output);
    add({What::output, howOf(value), graph.plan.operands[output].dims, value, output});
  }
  for (int value : sweep.kept)
    add({What::keep, howOf(value), graph.values[value].dims, value});
}

/// The item after which a value, or the next value of a state, is there.
int Items::itemOf(int value) const {
  for (int i = 0; i < int(items.size()); ++i)
    if (items[i].value == value &&
        (items[i].what == Item::What::value || items[i].what == Item::What::whole ||
         items[i].what == Item::What::state))
      return i;
  throw std::logic_error("no item computes the value " + std::to_string(value));
}

void Items::touch(int state, Item& item, bool own) const {
  const Operand& operand = graph.plan.operands[state];
  if (!own || setOf(item.space) != setOf(operand.dims))
    throw std::invalid_argument(
        "variant '" + graph.plan.variant + "': the general form keeps each element of the state " +
        operand.name + " in one thread, and here a value is made of elements of several");
  item.touches.insert(state);
}

void Items::visit(int index, Item& item, bool own) const {
  const Value& value = graph.values[index];
  auto need = [&](int other, bool carried) {
    bool isOwn = own && item.how == Item::How::elements &&
                 items[other].how == Item::How::elements && items[other].space == item.space;
    item.needs.push_back({other, isOwn, carried});
  };
  if (graph.isUniform(index))
    return;
  if (rows.count(index))
    return need(itemOf(index), false);
  if (sweep.given.count(index)) {
    if (const int host = hostOf(index); host >= 0 && item.how == Item::How::pass)
      touch(host, item, own);
    return;
  }
  if (value.kind == Kind::state)
    return value.isWide() ? touch(value.operand, item, own)
                          : need(itemOf(graph.carried.at(value.operand)), true);
  for (int arg : value.args)
    visit(arg, item, own && !value.isFeature() && !value.isReduction());
}

void Items::findNeeds(Item& item) const {
  const Value& value = graph.values[item.value];
  const int self = int(&item - items.data());
  if (item.what == Item::What::whole)
    item.needs.push_back({self - 1, false, false});
  if (item.what == Item::What::whole ||
      (item.what == Item::What::value && sweep.given.count(item.value)))
    return;
  if (item.what == Item::What::output || item.what == Item::What::keep)
    return visit(item.value, item, true);
  // A reduction reads what it sums in the threads that do so.
  bool own = !value.isFeature() && !(value.isReduction() && item.how == Item::How::elements);
  for (int arg : value.args)
    visit(arg, item, own);
}

}  // namespace lathe::cuda
