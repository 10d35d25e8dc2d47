#include "tools/lathe/Plot.h"

#include "tools/lathe/Number.h"

#include <algorithm>
#include <set>

namespace lathe::tool {

namespace {

constexpr int labelWidth = 330, barWidth = 420, rowHeight = 20, top = 56, valueWidth = 150;

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text)
    out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  return out;
}

std::string textAt(int x, int y, const std::string& anchor, const std::string& text) {
  return "<text x='" + std::to_string(x) + "' y='" + std::to_string(y) + "' text-anchor='" +
         anchor + "'>" + escaped(text) + "</text>\n";
}

std::string labelOf(const BenchRow& row) {
  std::string dims;
  for (const auto& [dim, size] : row.dims)
    dims += " " + dim + std::to_string(size);
  return row.variant + " " + row.pass + " B" + std::to_string(row.shape.batch) + " T" +
         std::to_string(row.shape.tokens) + " H" + std::to_string(row.shape.heads) + dims + " " +
         name(row.dtype);
}

}  // namespace

std::string plotSvg(const BenchRecord& record) {
  const int bottom = top + rowHeight * int(record.rows.size());
  const std::string width = std::to_string(labelWidth + barWidth + valueWidth),
                    height = std::to_string(bottom + 28);
  std::string svg = "<svg xmlns='http://www.w3.org/2000/svg' width='" + width + "' height='" +
                    height + "' font-family='sans-serif' font-size='12'>\n" +
                    "<rect width='100%' height='100%' fill='white'/>\n";
  svg += textAt(10, 20, "start",
                "Share of the copy ceiling (" + fixedText(record.copyGBps, 0) + " GB/s), " +
                    record.machine);
  for (int percent = 0; percent <= 100; percent += 25) {
    const int x = labelWidth + barWidth * percent / 100;
    svg += "<line x1='" + std::to_string(x) + "' y1='" + std::to_string(top - 6) + "' x2='" +
           std::to_string(x) + "' y2='" + std::to_string(bottom) + "' stroke='#ccc'/>\n" +
           textAt(x, top - 12, "middle", std::to_string(percent) + " %");
  }
  int y = top;
  for (const BenchRow& row : record.rows) {
    const int length = int(barWidth * std::clamp(row.ceilingShare, 0.0, 1.2));
    svg += textAt(labelWidth - 8, y + 14, "end", labelOf(row)) + "<rect x='" +
           std::to_string(labelWidth) + "' y='" + std::to_string(y + 3) + "' width='" +
           std::to_string(length) + "' height='" + std::to_string(rowHeight - 6) + "' fill='" +
           (row.pass == "step" ? "#d08030" : "#3070b0") + "'/>\n" +
           textAt(labelWidth + length + 6, y + 14, "start",
                  fixedText(100 * row.ceilingShare, 0) + " %, " +
                      fixedText(row.time.microseconds, 1) + " us");
    y += rowHeight;
  }
  return svg +
         textAt(10, bottom + 20, "start",
                record.date + ", " + record.commit + ", driver " + record.driver) +
         "</svg>\n";
}

}  // namespace lathe::tool
